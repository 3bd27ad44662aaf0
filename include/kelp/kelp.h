/* SPDX-License-Identifier: MIT */
/* kelp: all public headers. */
#ifndef KELP_KELP_H
#define KELP_KELP_H

#include <kelp/copywin.h>
#include <kelp/directmap.h>
#include <kelp/fixmap.h>
#include <kelp/flush.h>
#include <kelp/format.h>
#include <kelp/hold.h>
#include <kelp/hotplug.h>
#include <kelp/image.h>
#include <kelp/kexec.h>
#include <kelp/kmap.h>
#include <kelp/memmap.h>
#include <kelp/port.h>
#include <kelp/slot.h>
#include <kelp/snapshot.h>
#include <kelp/space.h>
#include <kelp/status.h>
#include <kelp/trans.h>
#include <kelp/types.h>

#endif

/* SPDX-License-Identifier: MIT */
/* The one definition that explore/hw.h needs. */
#include "explore/hw.h"

_Thread_local const struct explore_hw *explore_hw;

/* SPDX-License-Identifier: MIT */
/*
 * codecs: the hooks of kelp/snapshot.h on well-kept libraries, for programs and kernels alike:
 * LZ4 (block format) and BearSSL (ChaCha20-Poly1305, constant-time). The sources come from the
 * distribution's source packages (mk/third-party.sh); no heap, nothing but mem*() from outside.
 *
 * Locking: none is needed; the hooks have no state.
 */
#ifndef KELP_CODECS_H
#define KELP_CODECS_H

#include <kelp/snapshot.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const struct kelp_snapshot_codec kelp_codec_lz4;
extern const struct kelp_snapshot_cipher kelp_cipher_chacha20_poly1305;

#ifdef __cplusplus
}
#endif

#endif

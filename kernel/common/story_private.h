/* SPDX-License-Identifier: MIT */
/* What the parts of the story share. */
#ifndef HOLDFAST_STORY_PRIVATE_H
#define HOLDFAST_STORY_PRIVATE_H

#include <story.h>

void story_chapter(const char *title);
/* One line for the host's report. */
void story_report(const char *key, uint64_t value);

#endif

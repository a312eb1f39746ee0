/* SPDX-License-Identifier: BSD-3-Clause */
/* A file whose file system is a process (FUSE), which says what happens to it, and when. */
#ifndef SERVED_FILE_H
#define SERVED_FILE_H

/**
 * served_file() - open such a file
 * @path: of a file that is there; it is mounted over for a moment
 *
 * Its process answers an open, a close and a question for its attributes, and nothing else.
 *
 * Return: the descriptor, or -1; errno says why.
 */
int served_file(const char *path);

#endif

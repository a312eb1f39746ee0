/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values of the adapter's options. What one may be is said once, for the parser and for who
 * gave something else.
 */
#ifndef ADAPTER_OPTION_VALUE_H
#define ADAPTER_OPTION_VALUE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Each of these returns 0, -EINVAL for what it does not understand, or -ERANGE for what is out of
 * bounds; where there is something to fill in, it is untouched on error.
 */

/* option_value_number() - of the option @key, without its dashes, which takes one */
int option_value_number(const char *key, const char *text, unsigned int *value);

/*
 * option_value_name() - a name of a device. It is part of the names of files, and a word on command
 * lines, where what begins with a dash is an option
 */
int option_value_name(const char *text);

/* option_value_text() - anything but nothing */
int option_value_text(const char *text, const char **value);

int option_value_tag(const char *text, const char **tag);
int option_value_mac(const char *text, uint8_t mac[6]);
int option_value_display(const char *text, const char **display);
int option_value_resolution(const char *text, const char **resolution, uint32_t *pixels);
int option_value_pool(const char *text, uint64_t *bytes);

/* option_value_reconnect() - RECONNECT_*, or milliseconds */
int option_value_reconnect(const char *text, uint64_t *ms);

/**
 * option_value_rule() - what the option takes, for who gave something else
 * @key:	without its dashes
 * @buf:	filled in, as "1 to 60 seconds"; "": there is nothing to say
 * @size:	of @buf
 */
void option_value_rule(const char *key, char *buf, size_t size);

#endif

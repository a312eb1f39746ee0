/* SPDX-License-Identifier: BSD-3-Clause */
/* The verbs of the command. Each takes its own arguments and returns the exit status. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

int command_attach(int argc, char **argv);
int command_detach(int argc, char **argv);
int command_list(int argc, char **argv);
int command_backends(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_upgrade(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_prepare(int argc, char **argv);
int command_backend(int argc, char **argv);

#define EXIT_USAGE 2

#endif

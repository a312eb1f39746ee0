// SPDX-License-Identifier: BSD-3-Clause
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "vhost-user/message.h"

static const struct {
	const char *name;
	enum action action;
	int64_t usual; /* without a number */
} actions[] = {
	{ "close", ACTION_CLOSE, 0 },
	{ "exit", ACTION_EXIT, 0 },
	{ "stop", ACTION_STOP, 0 },
	{ "delay", ACTION_DELAY, 1000 },
	{ "ignore", ACTION_IGNORE, 0 },
	{ "value", ACTION_VALUE, -1 },
	{ "fail", ACTION_FAIL, 1 },
	{ "size", ACTION_SIZE, 0 },
	{ "claim", ACTION_CLAIM, 0x7fffffff },
	{ "short", ACTION_SHORT, 6 },
	{ "request", ACTION_REQUEST, 0 },
	{ "flags", ACTION_FLAGS, 0 },
	{ "garbage", ACTION_GARBAGE, 64 },
	{ "twice", ACTION_TWICE, 0 },
	{ "fds", ACTION_FDS, 1 },
	{ "config-change", ACTION_CONFIG_CHANGE, 1 },
	{ "channel-garbage", ACTION_CHANNEL_GARBAGE, 64 },
	{ "channel-request", ACTION_CHANNEL_REQUEST, 1 },
	{ "scribble-pool", ACTION_SCRIBBLE_POOL, 0 },
	{ "scribble-rings", ACTION_SCRIBBLE_RINGS, 0 },
	{ "scribble-used", ACTION_SCRIBBLE_USED, 0 },
	{ "punch", ACTION_PUNCH, 0 },
	{ "stall", ACTION_STALL, 0 },
	{ "storm", ACTION_STORM, 100000 },
	{ "used-jump", ACTION_USED_JUMP, 1000 },
	{ "entry-move", ACTION_ENTRY_MOVE, 0 },
	{ "used-id", ACTION_USED_ID, 0xffffffff },
	{ "used-len", ACTION_USED_LEN, 0xffffffff },
	{ "drop", ACTION_DROP, 0 },
	{ "again", ACTION_AGAIN, 0 },
	{ "join", ACTION_JOIN, 0 },
};

static int known_event(const char *event)
{
	uint32_t request;

	if (!strcmp(event, "connect") || !strcmp(event, "kick") || !strcmp(event, "complete"))
		return 1;
	for (request = 1; request < VHOST_USER_REQUEST_COUNT; request++) {
		if (!strcmp(event, vu_request_name(VU_REQUEST, request)))
			return 1;
	}
	return 0;
}

static int parse_rule(struct rule *rule, char *text)
{
	char action[24], number[24] = "";
	char *colon = strchr(text, ':');
	char *hash, *end;
	size_t i;
	int n;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	*rule = (struct rule){ 0 };
	hash = strchr(text, '#');
	if (hash) {
		*hash++ = '\0';
		rule->nth = (unsigned int)strtoul(hash, &end, 10);
		if (!rule->nth || *end)
			return -EINVAL;
	}
	if (sscanf(text, " %39s", rule->event) != 1 || !known_event(rule->event))
		return -EINVAL;
	n = sscanf(colon + 1, " %23s %23s", action, number);
	if (n < 1)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		if (strcmp(action, actions[i].name) != 0)
			continue;
		rule->action = actions[i].action;
		rule->number = actions[i].usual;
		if (n == 1)
			return 0;
		/* strtoull() takes all 64 bits, with a sign too */
		rule->number = (int64_t)strtoull(number, &end, 0);
		return *end ? -EINVAL : 0;
	}
	return -EINVAL;
}

int script_parse(struct script *script, const char *text, char *why, unsigned int size)
{
	char *copy = strdup(text), *rest = copy, *part;
	int ret = copy ? 0 : -ENOMEM;

	*script = (struct script){ 0 };
	while (!ret && (part = strsep(&rest, ";"))) {
		if (!part[strspn(part, " \t\n")])
			continue;
		snprintf(why, size, "%s", part);
		if (script->count == SCRIPT_RULES_MAX)
			ret = -EINVAL;
		else
			ret = parse_rule(&script->rules[script->count], part);
		script->count++;
	}
	free(copy);
	return ret;
}

static unsigned int count_event(struct script *script, const char *event)
{
	unsigned int i;

	for (i = 0; i < script->num_events; i++) {
		if (!strcmp(script->events[i].name, event))
			return ++script->events[i].times;
	}
	if (i == SCRIPT_EVENTS_MAX)
		return 0;
	snprintf(script->events[i].name, sizeof(script->events[i].name), "%s", event);
	script->num_events++;
	return script->events[i].times = 1;
}

const struct rule *script_event(struct script *script, const char *event)
{
	unsigned int times = count_event(script, event), i;

	for (i = 0; i < script->count; i++) {
		const struct rule *rule = &script->rules[i];

		if (!strcmp(rule->event, event) && (!rule->nth || rule->nth == times))
			return rule;
	}
	return NULL;
}

/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's interface of red-black trees over a plain binary tree: order, not speed. */
#ifndef KERNEL_SHIM_TREE_H
#define KERNEL_SHIM_TREE_H

#include <stddef.h>

struct rb_node {
	struct rb_node *rb_parent, *rb_left, *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT ((struct rb_root){ NULL })
#define rb_entry(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	*node = (struct rb_node){ .rb_parent = parent };
	*link = node;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	(void)node;
	(void)root;
}

static inline struct rb_node *shim_leftmost(struct rb_node *node)
{
	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

static inline struct rb_node *rb_first(const struct rb_root *root)
{
	return shim_leftmost(root->rb_node);
}

static inline struct rb_node *rb_next(const struct rb_node *node)
{
	const struct rb_node *parent;

	if (node->rb_right)
		return shim_leftmost(node->rb_right);
	while ((parent = node->rb_parent) && node == parent->rb_right)
		node = parent;
	return (struct rb_node *)parent;
}

/* Puts another node, or none, into the place of one. */
static inline void shim_replace(struct rb_root *root, struct rb_node *old, struct rb_node *new)
{
	struct rb_node *parent = old->rb_parent;

	if (!parent)
		root->rb_node = new;
	else if (parent->rb_left == old)
		parent->rb_left = new;
	else
		parent->rb_right = new;
	if (new)
		new->rb_parent = parent;
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *next;

	if (!node->rb_left || !node->rb_right) {
		shim_replace(root, node, node->rb_left ? node->rb_left : node->rb_right);
		return;
	}
	next = shim_leftmost(node->rb_right);
	if (next != node->rb_right) {
		shim_replace(root, next, next->rb_right);
		next->rb_right = node->rb_right;
		next->rb_right->rb_parent = next;
	}
	shim_replace(root, node, next);
	next->rb_left = node->rb_left;
	next->rb_left->rb_parent = next;
}

#endif

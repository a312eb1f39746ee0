/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that does not come: whoever reads it, the kernel too, waits. */
#ifndef MISSING_PAGE_H
#define MISSING_PAGE_H

/**
 * missing_page() - a page whose first use waits for userfaultfd(2)
 * @uffd: the descriptor that the use is told to, and that ends the wait; it and the page live as
 *	  long as the process
 *
 * Needs the privilege to have the kernel's own faults wait.
 *
 * Return: the page, or NULL; errno says why.
 */
void *missing_page(int *uffd);

/* missing_page_comes() - zeroes, at last; Return: 0, or -1 with errno */
int missing_page_comes(int uffd, void *page);

#endif

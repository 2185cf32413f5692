/* Intrusive doubly linked list: embed struct cm_link, recover the owner with cm_container_of. */
#pragma once

#include "base/defs.h"

struct cm_link {
    struct cm_link *prev, *next;
};

static inline void cm_list_init(struct cm_link *head)
{
    head->prev = head->next = head;
}

static inline bool cm_list_empty(const struct cm_link *head)
{
    return head->next == head;
}

static inline void cm_list_push(struct cm_link *head, struct cm_link *l) /* at the end */
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

/* Also fine for a link that is in no list, as long as it was zeroed or unlinked before. */
static inline void cm_list_unlink(struct cm_link *l)
{
    if (!l->next)
        return;
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->prev = l->next = NULL;
}

static inline struct cm_link *cm_list_pop(struct cm_link *head) /* the first, or NULL */
{
    if (cm_list_empty(head))
        return NULL;
    struct cm_link *l = head->next;
    cm_list_unlink(l);
    return l;
}

/* NOLINTBEGIN(bugprone-macro-parentheses): it is a name to declare */
#define CM_LIST_EACH(it, head)                                                                     \
    for (struct cm_link *it = (head)->next, *it##_next = it->next; it != (head);                   \
         it = it##_next, it##_next = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Gives back the pages of code and constants that only starting needed. They stay in the page cache and come again one by one when
 * they are used; what idles then weighs what idling needs. */
#pragma once

/* Any thread; needs madvise(MADV_DONTNEED) on read-only file mappings of the program itself. Failure changes nothing and is no error. */
void trim_program(void);

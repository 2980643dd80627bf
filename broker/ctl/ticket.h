/* Writes tickets: leave for the broker's connector to connect again to where connection leads now, in our name (chan/ticket.h).
 */
#pragma once

/* path: of the socket; it is made absolute. A descriptor, or a negative errno. */
int ticket_write(const char *path, int connection);

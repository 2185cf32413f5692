/* Between the HTTP server and the handlers: finds the route, reads credentials, applies limits,
 * decodes the body, runs the handler on a worker, refuses a success that no rule has allowed, and
 * answers. */
#pragma once

#include "api/request.h"

struct cm_http_app api_front(struct coderd *app);
/* On the request's loop: sends the reply of a request whose start() took it over. */
void api_front_answer(struct api_req *r);

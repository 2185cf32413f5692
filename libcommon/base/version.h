/* The one version constant: the reference release whose API is covered, then our own build. */
#pragma once

#define CM_VERSION "v2.30.0+c1"

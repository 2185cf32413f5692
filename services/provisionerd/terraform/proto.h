/* Short names for the messages of proto/rpc/provisioner.proto. */
#pragma once

#include "provisioner.pb-c.h"

#define PB(name)       Coder__Provisioner__V1__##name
#define PB_ENUM(value) CODER__PROVISIONER__V1__##value
#define PB_INIT(upper) CODER__PROVISIONER__V1__##upper##__INIT

/* SGX EPC for guests: descriptors of /dev/sgx_vepc. Broker thread only. */
#pragma once
#include "vm.h"

/* Opens the device once for each EPC section of the VM's plan: every open is a section of its own, empty, and given back to the
 * host when its last mapping goes. So each new worker gets new ones. ret_fds has room for LIM_EPC; on failure nothing is left
 * open. */
int epc_open(const struct vm *vm, int *ret_fds, struct err *e);
void epc_close(int *fds, size_t n);

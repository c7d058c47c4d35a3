// The smallest part of NVML that a very old driver has. It lacks everything else that wb calls.
#include <string.h>
typedef void *nvmlDevice_t;
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int r) { return "an error"; }
int nvmlDeviceGetCount_v2(unsigned int *n) { *n = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int i, nvmlDevice_t *d) { *d = (nvmlDevice_t)1; return 0; }
int nvmlSystemGetDriverVersion(char *v, unsigned int n) { strncpy(v, "418.226.00", n); return 0; }
int nvmlDeviceGetName(nvmlDevice_t d, char *v, unsigned int n) { strncpy(v, "Old GPU", n); return 0; }
int nvmlDeviceGetPowerUsage(nvmlDevice_t d, unsigned int *mw) { *mw = 250000; return 0; }
int nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t d, unsigned long long *r) { *r = 4; return 0; }

// The shared library takes all it has from retort_capi; CMake wants one source file of its own.

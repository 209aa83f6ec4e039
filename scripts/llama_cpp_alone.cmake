# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE, see scripts/setup).
# llama-cpp-python forces llama.cpp's library for command-line tools on; nothing of it is used, and it takes
# more than half of the time.
set(LLAMA_BUILD_COMMON OFF)

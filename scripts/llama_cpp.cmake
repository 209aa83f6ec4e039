# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE, see scripts/setup).

# llama-cpp-python forces llama.cpp's library for command-line tools on; nothing of it is used, and it takes
# more than half of the time.
set(LLAMA_BUILD_COMMON OFF)

# On processors with AMX, llama.cpp's kernels for it end the process with an illegal instruction: the compiler leaves
# out the stores to the tiles' configuration before it is loaded (ggml-org/llama.cpp#26954). The target exists at
# the end of the folder only, and what comes after its -march=native wins.
function(memoryd_without_amx)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-mno-amx-int8 COMPILER_KNOWS_AMX)
  if(COMPILER_KNOWS_AMX AND TARGET ggml-cpu)
    target_compile_options(ggml-cpu PRIVATE -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
  endif()
endfunction()
cmake_language(DEFER CALL memoryd_without_amx)

# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE, see scripts/setup).

# llama-cpp-python forces llama.cpp's library for command-line tools on; nothing of it is used, and it takes
# more than half of the time.
set(LLAMA_BUILD_COMMON OFF)

# A quicker attention on the CPU, and a sliding window that lacks nothing: the patch says what and how much. Without
# the program all is right, only slower (scripts/setup says so).
find_program(PATCH_PROGRAM patch)
function(memoryd_patch RESULT)
  execute_process(
    COMMAND ${PATCH_PROGRAM} --strip=1 --silent --input=${MEMORYD_PATCH} ${ARGN}
    WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} RESULT_VARIABLE FAILED OUTPUT_QUIET ERROR_QUIET)
  set(${RESULT} ${FAILED} PARENT_SCOPE)
endfunction()
set(MEMORYD_PATCH ${CMAKE_CURRENT_LIST_DIR}/llama_cpp.patch)
if(PATCH_PROGRAM)
  memoryd_patch(NOT_APPLIED --dry-run --force --reverse)
  if(NOT_APPLIED)
    memoryd_patch(MISFIT --dry-run --forward)
    if(NOT MISFIT)
      memoryd_patch(MISFIT --forward)
    endif()
    if(MISFIT)
      message(FATAL_ERROR "scripts/llama_cpp.patch does not fit this version of llama.cpp; make it anew")
    endif()
  endif()
endif()

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

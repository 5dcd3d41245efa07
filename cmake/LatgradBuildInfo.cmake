# generated/lg_build.h: what this build has. It includes lg_commit.h, which every build refreshes, so that the commit is
# right without running CMake again; files that do not include it are not compiled again for a new commit.

set(LATGRAD_GENERATED "${PROJECT_BINARY_DIR}/generated")

string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
string(STRIP "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${config}}" LG_BUILD_FLAGS)
string(REGEX REPLACE "[\\\"]" "" LG_BUILD_FLAGS "${LG_BUILD_FLAGS}")
if(LATGRAD_SANITIZE)
    string(APPEND LG_BUILD_FLAGS " -fsanitize=${LATGRAD_SANITIZE}")
endif()
set(LG_BUILD_PARTS "")
foreach(part OPENMP HDF5 YAML PNG CUDA MPI)
    if(LG_HAVE_${part})
        string(APPEND LG_BUILD_PARTS " ${part}")
    endif()
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/cmake/lg_build.h.in" "${LATGRAD_GENERATED}/lg_build.h" @ONLY)

set(commit_command "${CMAKE_COMMAND}" "-DSOURCE=${PROJECT_SOURCE_DIR}" "-DOUTPUT=${LATGRAD_GENERATED}/lg_commit.h"
                   -P "${PROJECT_SOURCE_DIR}/cmake/commit.cmake")
execute_process(COMMAND ${commit_command} COMMAND_ERROR_IS_FATAL ANY)
add_custom_target(latgrad_commit COMMAND ${commit_command} BYPRODUCTS "${LATGRAD_GENERATED}/lg_commit.h"
                  COMMENT "Git commit" VERBATIM)

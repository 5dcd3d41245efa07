# cmake -DSOURCE=... -DOUTPUT=... -P commit.cmake: writes the header with the git commit, only where it changed.
# A "+" after the commit means that tracked files differ from it.

set(commit unknown)
find_program(git git)
if(git AND EXISTS "${SOURCE}/.git")
    execute_process(COMMAND "${git}" -C "${SOURCE}" rev-parse --verify HEAD OUTPUT_VARIABLE head ERROR_QUIET
                    RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT failed)
        set(commit "${head}")
        execute_process(COMMAND "${git}" -C "${SOURCE}" diff --quiet HEAD -- OUTPUT_QUIET ERROR_QUIET
                        RESULT_VARIABLE changed)
        if(changed)
            string(APPEND commit "+")
        endif()
    endif()
endif()

set(text "#define LG_BUILD_COMMIT \"${commit}\"\n")
set(old "")
if(EXISTS "${OUTPUT}")
    file(READ "${OUTPUT}" old)
endif()
if(NOT text STREQUAL old)
    file(WRITE "${OUTPUT}" "${text}")
endif()

# Manual pages and completion scripts: the tool prints them from its own tables, so the build runs it.

set(LATGRAD_ZSH_DIR "${CMAKE_INSTALL_DATADIR}/zsh/site-functions" CACHE STRING "Folder of the zsh completion")
if(CMAKE_CROSSCOMPILING)
    message(STATUS "latgrad: no manual pages, since a cross-compiled tool cannot be run here")
    return()
endif()

set(manual "${PROJECT_BINARY_DIR}/manual")
add_custom_command(OUTPUT "${manual}/stamp"
                   COMMAND "${CMAKE_COMMAND}" "-DTOOL=$<TARGET_FILE:latgrad_cli>" "-DOUTPUT=${manual}"
                           -P "${PROJECT_SOURCE_DIR}/cmake/manual.cmake"
                   DEPENDS latgrad_cli "${PROJECT_SOURCE_DIR}/cmake/manual.cmake"
                   COMMENT "Manual pages and completion scripts" VERBATIM)
add_custom_target(latgrad_manual ALL DEPENDS "${manual}/stamp")
install(DIRECTORY "${manual}/man1" "${manual}/man5" DESTINATION "${CMAKE_INSTALL_MANDIR}")
install(FILES "${manual}/latgrad.bash" RENAME latgrad DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions")
install(FILES "${manual}/_latgrad" DESTINATION "${LATGRAD_ZSH_DIR}")

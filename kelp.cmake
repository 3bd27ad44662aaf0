# SPDX-License-Identifier: MIT
#
# Kelp for CMake: include() this file, link `kelp::kelp` or `kelp::hosted`.
#
#   set(KELP_FORMATS x86_64)         formats to build; default: all of sources.mk
#   set(KELP_HW <directory>)         where your hw.h is; default: Kelp's port/hosted
#   set(KELP_SINGLE_FORMAT x86_64)   build for this one format, without indirect calls
#   set(KELP_CHECKED ON)             with the debug checks
#   include(path/to/kelp/kelp.cmake)
#
# kelp::kelp is the freestanding library, kelp::hosted adds the port for programs.

include_guard(GLOBAL)

set(KELP_DIR ${CMAKE_CURRENT_LIST_DIR})

# The lines `NAME += value` of sources.mk, as lists KELP_LIST_<NAME>.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${KELP_DIR}/sources.mk)
file(STRINGS ${KELP_DIR}/sources.mk kelp_lines REGEX "^[A-Za-z0-9_]+ \\+= ")
foreach(kelp_line IN LISTS kelp_lines)
	string(REGEX MATCH "^([A-Za-z0-9_]+) \\+= (.*)$" kelp_match "${kelp_line}")
	list(APPEND KELP_LIST_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
set(KELP_VERSION ${KELP_LIST_VERSION})

if(DEFINED KELP_SINGLE_FORMAT)
	set(KELP_FORMATS ${KELP_SINGLE_FORMAT})
elseif(NOT DEFINED KELP_FORMATS)
	set(KELP_FORMATS ${KELP_LIST_FORMATS})
endif()
if(NOT DEFINED KELP_HW)
	set(KELP_HW ${KELP_DIR}/port/hosted)
endif()

set(kelp_sources ${KELP_LIST_SOURCES_core})
foreach(kelp_format IN LISTS KELP_FORMATS)
	if(NOT DEFINED KELP_LIST_SOURCES_${kelp_format})
		list(JOIN KELP_LIST_FORMATS " " kelp_known)
		message(FATAL_ERROR "kelp: no format '${kelp_format}'; there are: ${kelp_known}")
	endif()
	list(APPEND kelp_sources ${KELP_LIST_SOURCES_${kelp_format}})
endforeach()
list(REMOVE_DUPLICATES kelp_sources)
list(TRANSFORM kelp_sources PREPEND ${KELP_DIR}/)

add_library(kelp STATIC ${kelp_sources})
add_library(kelp::kelp ALIAS kelp)
set_target_properties(kelp PROPERTIES C_STANDARD 11 C_EXTENSIONS ON POSITION_INDEPENDENT_CODE OFF)
target_compile_options(kelp PRIVATE -ffreestanding)
target_include_directories(kelp PUBLIC ${KELP_DIR}/include ${KELP_DIR} PRIVATE ${KELP_HW})
if(DEFINED KELP_SINGLE_FORMAT)
	target_compile_definitions(kelp PRIVATE KELP_SINGLE_FORMAT=${KELP_SINGLE_FORMAT})
endif()
if(KELP_CHECKED)
	target_compile_definitions(kelp PUBLIC KELP_DEBUG=1)
endif()

set(kelp_hosted_sources ${KELP_LIST_SOURCES_hosted})
list(TRANSFORM kelp_hosted_sources PREPEND ${KELP_DIR}/)
find_package(Threads)
add_library(kelp_hosted STATIC EXCLUDE_FROM_ALL ${kelp_hosted_sources})
add_library(kelp::hosted ALIAS kelp_hosted)
set_target_properties(kelp_hosted PROPERTIES C_STANDARD 11 C_EXTENSIONS ON)
target_compile_definitions(kelp_hosted PRIVATE _GNU_SOURCE)
target_link_libraries(kelp_hosted PUBLIC kelp Threads::Threads)

# Compiler settings and the few verbs that every CMakeLists.txt of the tree uses.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_RUNTIME_OUTPUT_DIRECTORY)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(CM_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, e.g. address,undefined")
option(CM_FUZZ "Build the libFuzzer targets (clang)" OFF)

# Archives name functions of libraries that are not there, in parts that only --gc-sections drops.
set(CM_STATIC_AGENT OFF)
add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
  -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough -Werror -fno-omit-frame-pointer
  -fno-strict-aliasing)
add_compile_definitions(_GNU_SOURCE)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-O2 -g1 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -ffunction-sections -fdata-sections
    -fcf-protection -fno-asynchronous-unwind-tables)
  add_link_options(-Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,-O1)
  set(CM_STATIC_AGENT ON) # coder and coder-agent without shared libraries, others with the archives of CM_ARCHIVES
else()
  add_compile_options(-O1 -g)
endif()
if(CM_SANITIZE)
  add_compile_options(-fsanitize=${CM_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CM_SANITIZE})
endif()
if(CM_FUZZ)
  # Also counted, so that tests/fuzz/coverage.py can tell how much of its parser a corpus reaches.
  add_compile_options(-fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# Third-party libraries by our own short names: cm_pkg(ssl openssl) makes target pkg_ssl.
function(cm_pkg name module)
  pkg_check_modules(PKG_${name} REQUIRED ${module})
  add_library(pkg_${name} INTERFACE)
  target_include_directories(pkg_${name} SYSTEM INTERFACE ${PKG_${name}_INCLUDE_DIRS})
  cm_link_either_(pkg_${name} ${name} ${PKG_${name}_LINK_LIBRARIES})
endfunction()

# Links the shared libraries, or slim copies of the archives of the same names: into programs of cm_static_program, and into
# those whose property CM_ARCHIVES lists the name.
function(cm_link_either_ target name)
  set(archives)
  foreach(lib ${ARGN})
    string(REGEX REPLACE "\\.so$" ".a" archive "${lib}")
    cm_slim_archive(archive "${archive}")
    list(APPEND archives ${archive})
  endforeach()
  set(static "$<OR:$<BOOL:$<TARGET_PROPERTY:CM_STATIC>>,$<IN_LIST:${name},$<TARGET_PROPERTY:CM_ARCHIVES>>>")
  target_link_libraries(${target} INTERFACE "$<${static}:${archives}>" "$<$<NOT:${static}>:${ARGN}>")
endfunction()

# A copy without unwind tables, which nothing needs (no C++, no thread cancellation) and which make up a tenth of a static
# program. Libraries that have no archive stay as they are, for the linker to complain about when one is needed.
function(cm_slim_archive ret archive)
  if(CM_STATIC_AGENT AND EXISTS "${archive}")
    get_filename_component(name "${archive}" NAME)
    set(slim ${CMAKE_BINARY_DIR}/slim/${name})
    if(NOT EXISTS ${slim} OR "${archive}" IS_NEWER_THAN ${slim})
      file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/slim)
      execute_process(COMMAND ${CMAKE_OBJCOPY} -g -R .eh_frame -R .rela.eh_frame ${archive} ${slim}
        COMMAND_ERROR_IS_FATAL ANY)
    endif()
    set(archive ${slim})
  endif()
  set(${ret} "${archive}" PARENT_SCOPE)
endfunction()

# cm_static_program(coder-agent): no shared libraries, where CM_STATIC_AGENT says so.
function(cm_static_program name)
  if(CM_STATIC_AGENT)
    set_target_properties(${name} PROPERTIES CM_STATIC ON POSITION_INDEPENDENT_CODE OFF)
    target_link_options(${name} PRIVATE -static)
  endif()
endfunction()

# cm_library(base SOURCES a.c b.c DEPS obs PKGS ssl): target cm_base. DEPS are other cm_ libraries.
function(cm_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PKGS;LIBS" ${ARGN})
  add_library(cm_${name} STATIC ${A_SOURCES})
  cm_link_(cm_${name} PUBLIC "${A_DEPS}" "${A_PKGS}" "${A_LIBS}")
  target_include_directories(cm_${name} PUBLIC ${CMAKE_SOURCE_DIR}/libcommon)
endfunction()

# cm_program(coderd SOURCES main.c DEPS net db): a binary in build/bin. Includes start at the service's folder.
function(cm_program name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PKGS;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  cm_link_(${name} PRIVATE "${A_DEPS}" "${A_PKGS}" "${A_LIBS}")
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/libcommon ${CMAKE_CURRENT_SOURCE_DIR})
endfunction()

# cm_test(test_buf SOURCES test_buf.c DEPS base): a cmocka program run by ctest under its own name.
function(cm_test name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PKGS;LIBS;INCLUDES;LABELS;ARGS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  cm_link_(${name} PRIVATE "${A_DEPS}" "${A_PKGS};cmocka" "${A_LIBS}")
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/libcommon ${CMAKE_SOURCE_DIR}/tests/lib ${A_INCLUDES})
  target_compile_definitions(${name} PRIVATE CM_SOURCE_DIR="${CMAKE_SOURCE_DIR}" CM_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name} ${A_ARGS})
  if(NOT A_LABELS)
    set(A_LABELS unit)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT 120)
endfunction()

# cm_fuzz(fuzz_http_head SOURCES fuzz_http_head.c DEPS net PARSER net/http/message.c): a libFuzzer program; only with CM_FUZZ.
# PARSER: what it is there for, by ends of paths or folders (coderd/form/): tests/fuzz/coverage.py wants 80% of it to be
# reached by the corpus. With a colon, only the functions whose names match: value/msgpack.c:decode.
function(cm_fuzz name)
  if(NOT CM_FUZZ)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PKGS;LIBS;INCLUDES;PARSER" ${ARGN})
  if(NOT A_PARSER)
    message(FATAL_ERROR "${name} does not say of which PARSER it is")
  endif()
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  cm_link_(${name} PRIVATE "${A_DEPS}" "${A_PKGS}" "${A_LIBS}")
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/libcommon ${A_INCLUDES})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()

function(cm_link_ target scope deps pkgs libs)
  foreach(d ${deps})
    target_link_libraries(${target} ${scope} cm_${d})
  endforeach()
  foreach(p ${pkgs})
    target_link_libraries(${target} ${scope} pkg_${p})
  endforeach()
  foreach(l ${libs})
    target_link_libraries(${target} ${scope} ${l})
  endforeach()
  target_link_libraries(${target} ${scope} Threads::Threads)
endfunction()

# cm_embed(pages.c page_files DIR FILE...): a source in the build folder with the table page_files (base/embedded.h).
function(cm_embed out symbol dir)
  add_custom_command(OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${out}
    COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/scripts/gen/embed.py ${CMAKE_CURRENT_BINARY_DIR}/${out} ${symbol} ${dir} ${ARGN}
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/scripts/gen/embed.py
    VERBATIM)
endfunction()

function(cm_subdirectories)
  foreach(d ${ARGN})
    add_subdirectory(${d})
  endforeach()
endfunction()

cm_pkg(ssl openssl)
cm_pkg(event libevent)
cm_pkg(event_openssl libevent_openssl)
cm_pkg(event_pthreads libevent_pthreads)
cm_pkg(nghttp2 libnghttp2)
cm_pkg(jansson jansson)
cm_pkg(cjson libcjson) # a peer of bench_json
cm_pkg(pbc libprotobuf-c)
cm_pkg(pq libpq)
cm_pkg(yaml yaml-0.1)
cm_pkg(archive libarchive)
cm_pkg(pcre2 libpcre2-8)
cm_pkg(curl libcurl)
cm_pkg(cares libcares)
cm_pkg(ssh libssh)
cm_pkg(cmocka cmocka)
cm_pkg(zlib zlib)
# Debian ships no pkg-config file for these.
foreach(lib nng msgpackc http_parser argon2 wslay)
  find_library(LIB_${lib} ${lib} REQUIRED)
  add_library(pkg_${lib} INTERFACE)
  cm_link_either_(pkg_${lib} ${lib} ${LIB_${lib}})
endforeach()
# The archive of nng wants a TLS library that is never used: see libcommon/net/rpc/nng_tls.c.
target_link_libraries(pkg_nng INTERFACE
  "$<$<OR:$<BOOL:$<TARGET_PROPERTY:CM_STATIC>>,$<IN_LIST:nng,$<TARGET_PROPERTY:CM_ARCHIVES>>>:cm_nng_tls>")
# What the archive of libarchive wants where zip files are read.
foreach(lib nettle lzma bz2 zstd)
  find_library(LIB_${lib} ${lib} REQUIRED)
  target_link_libraries(pkg_archive INTERFACE "$<$<IN_LIST:archive,$<TARGET_PROPERTY:CM_ARCHIVES>>:${LIB_${lib}}>")
endforeach()

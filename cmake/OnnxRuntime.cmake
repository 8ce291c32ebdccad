# ONNX Runtime's headers: the distribution's, or those scripts/setup-onnxruntime unpacked. The library itself is opened
# when a program first needs it. Without headers duan is built without the engine; DUAN_ONNX_RUNTIME says which.
find_path(DUAN_ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h
  HINTS ${PROJECT_SOURCE_DIR}/.deps/onnxruntime/include PATH_SUFFIXES onnxruntime)
if(DUAN_ONNX_RUNTIME AND NOT DUAN_ONNXRUNTIME_INCLUDE_DIR)
  message(STATUS "ONNX Runtime's headers were not found (scripts/setup brings them): no --engine onnx")
  set(DUAN_ONNX_RUNTIME OFF)
endif()
if(DUAN_ONNX_RUNTIME)
  add_library(duan_onnxruntime_headers INTERFACE)
  target_include_directories(duan_onnxruntime_headers SYSTEM INTERFACE ${DUAN_ONNXRUNTIME_INCLUDE_DIR})
  target_compile_definitions(duan_onnxruntime_headers INTERFACE ORT_API_MANUAL_INIT)
endif()

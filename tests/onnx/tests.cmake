add_library(duan_test_onnx STATIC onnx/model_bytes.cpp)
target_link_libraries(duan_test_onnx PUBLIC duan_test_support)
duan_test(onnx/verify_test.cpp DEPENDS duan::onnx_verify duan_test_onnx)
duan_test(onnx/export_test.cpp DEPENDS duan::onnx duan::onnx_verify)

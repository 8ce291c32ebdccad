duan_test(ort/model_folder_test.cpp DEPENDS duan::ort duan::onnx)
duan_test(ort/session_test.cpp DEPENDS duan::ort duan::onnx duan::eval duan_test_onnx)
duan_test(ort/signature_test.cpp DEPENDS duan::ort duan::onnx duan_test_onnx)
duan_test(ort/library_test.cpp DEPENDS duan::ort duan::onnx)
# Every tiny model as ONNX, a program a dialect so that they run side by side.
foreach(dialect onnx21 onnx23 ort)
  duan_test(ort/goldens_test.cpp NAME ort_goldens_${dialect}_test DEPENDS duan::ort duan::onnx duan::eval)
  target_compile_definitions(ort_goldens_${dialect}_test PRIVATE DUAN_TEST_DIALECT="${dialect}")
endforeach()

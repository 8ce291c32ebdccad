duan_test(base/atomic_file_test.cpp DEPENDS duan::base)
foreach(name awq_gptq_config awq_gptq_weight checkpoint config config_malformed quantization_config quantized_weight reference safetensors safetensors_malformed vision_config writer)
  duan_test(checkpoint/${name}_test.cpp DEPENDS duan::checkpoint)
endforeach()

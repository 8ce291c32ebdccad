foreach(name compare kl ocrbench perplexity predicted statistics)
  duan_test(eval/${name}_test.cpp DEPENDS duan::eval)
endforeach()

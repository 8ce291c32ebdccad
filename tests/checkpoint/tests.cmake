duan_test(checkpoint/reference_test.cpp DEPENDS duan::checkpoint)

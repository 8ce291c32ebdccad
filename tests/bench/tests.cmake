duan_test(bench/bench_test.cpp DEPENDS duan::bench)

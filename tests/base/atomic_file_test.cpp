#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"

namespace duan {
namespace {

namespace fs = std::filesystem;

int files_in(const fs::path& folder) {
  return static_cast<int>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

pid_t in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  return child;
}

TEST(AtomicFile, AppearsWholeOnCommit) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  AtomicFile file(target, 100);
  file.write("hello ");
  file.write("world");
  EXPECT_FALSE(fs::exists(target));
  EXPECT_EQ(file.written(), 11u);
  file.commit();
  EXPECT_EQ(read_file(target), "hello world");
  EXPECT_EQ(files_in(folder.path()), 1);
  EXPECT_THROW(file.write("more"), InternalError);
  EXPECT_THROW(file.commit(), InternalError);
}

TEST(AtomicFile, ReplacesAndLeavesTheOldFileUntilThen) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  write_file_atomically(target, "old content");
  {
    AtomicFile file(target);
    file.write("new");
    EXPECT_EQ(read_file(target), "old content");
  }
  EXPECT_EQ(read_file(target), "old content") << "destroyed without commit";
  EXPECT_EQ(files_in(folder.path()), 1);
  write_file_atomically(target, "new");
  EXPECT_EQ(read_file(target), "new");
}

TEST(AtomicFile, KeepsEveryByteOfAFileOfManyWindows) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  constexpr size_t kPiece = (size_t{5} << 20) + 3;  // divides neither a window nor a page
  constexpr int kPieces = 25;
  const auto piece = [](int i) { return std::string(kPiece, static_cast<char>('a' + i)); };
  {
    AtomicFile file(target);
    for (int i = 0; i < kPieces; ++i) file.write(piece(i));
    file.commit();
  }
  const std::string content = read_file(target, 256u << 20);
  ASSERT_EQ(content.size(), kPiece * kPieces);
  for (int i = 0; i < kPieces; ++i) {
    EXPECT_TRUE(content.compare(kPiece * static_cast<size_t>(i), kPiece, piece(i)) == 0) << i;
  }
}

TEST(AtomicFile, HonoursTheUmask) {
  const test::TemporaryDir folder;
  const mode_t old = ::umask(027);
  write_file_atomically(folder.path() / "f", "x");
  ::umask(old);
  struct stat info {};
  ASSERT_EQ(::stat((folder.path() / "f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFile, LeavesNothingHalfWrittenWhenKilled) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  const std::string before(1000, 'a'), after(1 << 20, 'b');
  write_file_atomically(target, before);
  for (int round = 0; round < 40; ++round) {
    const pid_t child = in_child([&] {
      while (true) write_file_atomically(target, after);
    });
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 137 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string content = read_file(target, 256u << 20);
    ASSERT_TRUE(content == before || content == after) << content.size();
  }
  write_file_atomically(target, before);
  EXPECT_EQ(files_in(folder.path()), 1) << "what the killed left behind was not removed";
}

TEST(AtomicFile, LeavesALivingWritersFileAlone) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  AtomicFile first(target);
  first.write("first");
  write_file_atomically(target, "second");
  EXPECT_EQ(files_in(folder.path()), 2);
  first.commit();
  EXPECT_EQ(read_file(target), "first");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, LeavesOtherFilesPartsAlone) {
  const test::TemporaryDir folder;
  std::ofstream(folder.path() / ".other.bin.partial-0123") << "x";
  write_file_atomically(folder.path() / "out.bin", "y");
  EXPECT_EQ(files_in(folder.path()), 2);
}

TEST(AtomicFile, SaysWhyItCannotWrite) {
  const test::TemporaryDir folder;
  const auto what = [](const fs::path& target) -> std::string {
    try {
      write_file_atomically(target, "x");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const fs::path missing = folder.path() / "missing" / "out";
  EXPECT_EQ(what(missing), missing.string() + ": cannot be created: No such file or directory");
  EXPECT_EQ(what(folder.path()), folder.path().string() + ": is a folder, expected the name of a file to write");
  EXPECT_NE(what("/proc/self/nothing").find("cannot be created"), std::string::npos);
}

TEST(AtomicFile, FailsCleanlyWhenTheFileMayNotGrow) {
  const test::TemporaryDir folder;
  const fs::path target = folder.path() / "out.bin";
  const pid_t child = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    bool written = true;
    try {
      AtomicFile file(target);
      for (int i = 0; i < 3; ++i) file.write(std::string(50'000, 'x'));
      file.commit();
    } catch (const Error&) {
      written = false;
    }
    ::_exit(written ? 1 : 0);
  });
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(files_in(folder.path()), 0);
}

}  // namespace
}  // namespace duan

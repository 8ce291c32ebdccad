#include "quant/output_folder.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/companion_files.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

}  // namespace

void check_output(const fs::path& model, const fs::path& output, bool overwrite, const char* marker) {
  std::error_code ignored;
  if (is_there(output) && fs::equivalent(output, model, ignored)) {
    throw Error("is the folder of the model itself", output.string(), "choose another folder");
  }
  if (!is_there(output)) return;
  if (!fs::is_directory(output, ignored)) throw Error("is there and is not a folder", output.string());
  if (fs::is_empty(output, ignored)) return;
  if (!overwrite) {
    throw Error("the folder is not empty", output.string(), "choose another one, or say --overwrite to replace it");
  }
  if (!is_there(output / marker)) {
    throw Error(fmt::format("is not empty and holds no {}; it is not replaced", marker), output.string(),
                "choose another folder");
  }
}

void check_room(const fs::path& folder, uint64_t needed) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= needed) return;
  throw Error(fmt::format("no room: {:.1f} MB are needed and {:.1f} MB free", static_cast<double>(needed) * 1e-6,
                          static_cast<double>(space.available) * 1e-6),
              folder.string());
}

uint64_t write_whole_file(const fs::path& file, std::string_view content) {
  AtomicFile out(file, content.size());
  out.write(content);
  out.commit();
  return content.size();
}

void for_each_companion(const fs::path& model,
                        const std::function<void(const std::string& name, std::string_view content)>& write) {
  for (const char* name : checkpoint::kCompanionFiles) {
    if (!is_there(model / name)) continue;
    const MappedFile from(model / name);
    write(name, {reinterpret_cast<const char*>(from.bytes().data()), from.bytes().size()});
  }
}

void in_named_folder(const AtomicFolder& folder, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    const std::string& inside = folder.path().native();
    if (!error.where().starts_with(inside)) throw;
    throw Error(error.message(), folder.target().native() + error.where().substr(inside.size()), error.hint());
  }
}

}  // namespace duan::quant

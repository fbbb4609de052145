// Students: what an adapter changes before and after training, and that training is a function of its settings.
#include "training/student.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/test_files.h"
#include "formats/golden_gguf.h"
#include "training/trainer.h"

using namespace retort;
using retort::test::fresh_folder;
using retort::test::golden_gguf;
using training::Student;

namespace {

std::vector<float> logits(const models::LanguageModel& model) {
  base::ThreadPool pool(2);
  graph::Workspace workspace(pool, kernels::active());
  graph::Graph graph(workspace);
  std::vector<int32_t> tokens = {1, 20, 3, 44, 5, 66};
  std::vector<int64_t> wanted = {0, 3, 5};
  graph::Segment segment{0, 6, 0, nullptr};
  graph::Var out = model.logits(graph, {tokens, {&segment, 1}, wanted});
  return {out.data(), out.data() + out.rows() * out.cols()};
}

training::Dataset rows() {
  training::Dataset data;
  for (int32_t i = 0; i < 6; ++i) {
    training::Example example{{i, 20, 3, 100 + i, 7}, {0, 0, 0, 1, 0.5f}, i};
    data.examples.push_back(example);
    data.num_tokens += 5;
    data.num_targets += 2;
    data.longest = 5;
  }
  return data;
}

training::TrainerOptions options() {
  training::TrainerOptions options;
  options.epochs = 4;
  options.batch.max_examples = 3;
  options.learning_rate = 0.01;
  options.precision = kernels::Precision::kFloat32;
  return options;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double difference = std::fabs(a[i] - b[i]);
    if (!(difference <= most)) most = std::isnan(difference) ? HUGE_VAL : difference;
  }
  return most;
}

}  // namespace

TEST(Student, AFreshAdapterChangesNothing) {
  for (const char* name : {"llama", "qwen2", "qwen3", "gemma3"}) {
    formats::GgufFile file = golden_gguf(name);
    auto plain = models::load_model(file);
    auto student = Student::lora(file, {.rank = 4});
    ASSERT_TRUE(student) << student.error().message;
    EXPECT_EQ(logits((*student)->model()), logits(**plain)) << name;
  }
}

TEST(Student, TargetsAndLastLayersChooseWhatIsTrained) {
  formats::GgufFile file = golden_gguf("qwen2");  // 3 layers
  auto all = Student::lora(file, {.rank = 4});
  auto some = Student::lora(file, {.rank = 4, .targets = {"attn_q", "ffn_down"}, .last_layers = 2});
  ASSERT_TRUE(all);
  ASSERT_TRUE(some);
  EXPECT_EQ((*all)->parameters().size(), 3 * 7 * 2u);
  ASSERT_EQ((*some)->parameters().size(), 2 * 2 * 2u);
  EXPECT_EQ((*some)->parameters()[0].name, "blk.1.attn_q.lora_a");
  auto unknown = Student::lora(file, {.targets = {"attn_qq"}});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("attn_qq"), std::string::npos);
}

TEST(Student, StartsFromAGivenAdapter) {
  formats::GgufFile file = golden_gguf("llama");
  auto first = Student::lora(file, {.rank = 3, .alpha = 5, .seed = 9});
  ASSERT_TRUE(first);
  for (auto& parameter : (*first)->parameters())
    for (size_t i = 0; i < parameter.value.size(); ++i) parameter.value[i] = static_cast<float>(i % 7) * 0.01f;
  formats::Adapter adapter = (*first)->adapter();
  auto second = Student::lora(file, {}, &adapter);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(logits((*second)->model()), logits((*first)->model()));
  EXPECT_NE(logits((*second)->model()), logits(**models::load_model(file)));
}

TEST(Student, AFullStudentComputesWhatTheModelDoes) {
  formats::GgufFile file = golden_gguf("gemma3");
  auto plain = models::load_model(file);
  auto student = Student::full(file, {.bfloat16 = false});
  ASSERT_TRUE(student) << student.error().message;
  EXPECT_EQ(logits((*student)->model()), logits(**plain));
  std::string path = fresh_folder("student_test_full") + "/model.gguf";
  ASSERT_TRUE((*student)->write_model(path, tensor::DType::kF32));
  auto written = formats::GgufFile::open(path);
  ASSERT_TRUE(written);
  EXPECT_EQ(logits(**models::load_model(*written)), logits(**plain));
}

TEST(Trainer, LearnsTheSameBitsWithAnyNumberOfThreadsAndAnyMemory) {
  formats::GgufFile file = golden_gguf("llama");
  training::Dataset data = rows();
  std::vector<std::vector<float>> results;
  for (auto [threads, bytes] : {std::pair{1, int64_t{1} << 30}, {3, int64_t{1} << 30}, {2, int64_t{0}}}) {
    auto student = Student::lora(file, {.rank = 4});
    base::ThreadPool pool(threads);
    training::TrainerOptions settings = options();
    settings.dropout = 0.2;
    settings.activation_bytes = bytes;
    training::Trainer trainer(**student, pool, data, data, fresh_folder("student_test_threads"), settings);
    double before = *trainer.evaluate(data);
    auto summary = trainer.run({});
    ASSERT_TRUE(summary) << summary.error().message;
    EXPECT_EQ(summary->progress.step, 8);
    EXPECT_EQ(summary->blocks_kept, bytes == 0 ? 0 : 2);
    EXPECT_LT(*trainer.evaluate(data), 0.7 * before);
    results.push_back(logits((*student)->model()));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Trainer, PassesOfAStepAddUp) {
  formats::GgufFile file = golden_gguf("llama");
  training::Dataset data = rows(), nothing;
  std::vector<std::vector<float>> results;
  for (int64_t tokens : {1, 1000}) {
    auto student = Student::full(file, {.bfloat16 = false});
    base::ThreadPool pool(2);
    training::TrainerOptions settings = options();
    settings.learning_rate = 1e-4;
    settings.pass_tokens = tokens;
    training::Trainer trainer(**student, pool, data, nothing, fresh_folder("student_test_passes"), settings);
    ASSERT_TRUE(trainer.run({}));
    results.push_back(logits((*student)->model()));
  }
  EXPECT_LE(largest_difference(results[0], results[1]), 1e-2);
}

TEST(Trainer, KeepsTheBestParametersAndStopsEarly) {
  formats::GgufFile file = golden_gguf("llama");
  training::Dataset data = rows(), other = rows();
  for (training::Example& example : other.examples) example.tokens[3] = 200;  // gets worse as the rows are learned
  auto student = Student::lora(file, {.rank = 4});
  base::ThreadPool pool(1);
  training::TrainerOptions settings = options();
  settings.epochs = 50;
  settings.evaluate_every = 1;
  settings.patience = 3;
  training::Trainer trainer(**student, pool, data, other, fresh_folder("student_test_best"), settings);
  auto summary = trainer.run({});
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_TRUE(summary->stopped_early);
  EXPECT_LT(summary->progress.step, 100);
  EXPECT_EQ(summary->progress.evaluations_since_best, 3);
  EXPECT_NEAR(*trainer.evaluate(other), *summary->progress.best_loss, 1e-6);
}

TEST(Trainer, ALossThatIsNoNumberEndsTheRun) {
  formats::GgufFile file = golden_gguf("llama");
  training::Dataset data = rows(), nothing;
  auto student = Student::lora(file, {.rank = 4});
  for (auto& parameter : (*student)->parameters()) parameter.value[0] = NAN;
  base::ThreadPool pool(1);
  training::Trainer trainer(**student, pool, data, nothing, fresh_folder("student_test_nan"), options());
  auto summary = trainer.run({});
  ASSERT_FALSE(summary);
  EXPECT_NE(summary.error().message.find("learning rate"), std::string::npos) << summary.error().message;
}

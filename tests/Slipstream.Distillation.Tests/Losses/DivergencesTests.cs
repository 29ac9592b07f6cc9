using System.Runtime.InteropServices;
using System.Text.Json;
using Slipstream.Distillation.Losses;
using Slipstream.Trainer;
using Slipstream.TestSupport;
using static TorchSharp.torch;

namespace Slipstream.Distillation.Tests.Losses;

public sealed class DivergencesTests
{
    public DivergencesTests() => NativeLibraries.Load();

    [Theory]
    [InlineData("forward_kl", nameof(Divergence.ForwardKl), 0.5)]
    [InlineData("reverse_kl", nameof(Divergence.ReverseKl), 0.5)]
    [InlineData("total_variation", nameof(Divergence.TotalVariation), 0.5)]
    [InlineData("jsd_beta0.5", nameof(Divergence.JensenShannon), 0.5)]
    [InlineData("jsd_beta0.1", nameof(Divergence.JensenShannon), 0.1)]
    public void Values_and_gradients_are_the_golden_ones_whole_and_over_all_tokens_as_the_best(string name, string divergence, double beta)
    {
        Golden golden = new();
        Divergence kind = Enum.Parse<Divergence>(divergence);
        foreach (bool best in (ReadOnlySpan<bool>)[false, true])
        {
            using var scope = NewDisposeScope();
            Tensor student = golden.Tensor("student_logits").requires_grad_(), teacher = golden.Tensor("teacher_logits");
            Tensor rows = best
                ? Divergences.TopK(kind, student.view(-1, 50), Best(teacher.view(-1, 50), 50, 1), beta: beta).view(2, 7)
                : Divergences.Full(kind, student, teacher, beta: beta);
            Tensor mask = golden.Mask();
            Tensor loss = (rows * mask).sum() / mask.sum();
            loss.backward();
            Near(golden.Value(name), loss.item<float>(), 1e-5);
            Same(golden.Floats($"{name}.grad.student_logits"), student.grad!);
        }
    }

    [Theory]
    [InlineData(0.5, 2.0)]
    [InlineData(0.1, 4.0)]
    public void A_mix_with_the_next_token_is_that_of_Hinton(double alpha, double temperature)
    {
        Golden golden = new();
        using var scope = NewDisposeScope();
        Tensor student = golden.Tensor("class_student").requires_grad_(), teacher = golden.Tensor("class_teacher");
        DistillationLoss loss = DistillationLoss.Parse(FormattableString.Invariant($"next-token={alpha},forward-kl={1 - alpha}"), temperature);
        Tensor value = loss.Mean(student, Best(teacher, 4, temperature), golden.Labels("class_labels"));
        value.backward();
        string name = FormattableString.Invariant($"hinton_alpha{alpha:0.0}_T{temperature:0.0}");
        Near(golden.Value(name), value.item<float>(), 1e-5);
        Same(golden.Floats($"{name}.grad.class_student"), student.grad!);
    }

    [Fact]
    public void Total_variation_and_its_gradient_are_those_of_the_definition()
    {
        Random random = new(3);
        using var scope = NewDisposeScope();
        float[] s = [.. Enumerable.Range(0, 5 * 31).Select(_ => (float)(4 * random.NextDouble() - 2))], t = [.. s.Select(_ => (float)(6 * random.NextDouble() - 3))];
        Tensor student = tensor(s, [5, 31]).requires_grad_();
        Tensor rows = Divergences.Full(Divergence.TotalVariation, student, tensor(t, [5, 31]), 0.8);
        rows.sum().backward();
        float[] gradient = student.grad!.data<float>().ToArray();
        for (int row = 0; row < 5; row++)
        {
            double[] q = Softmax(s.AsSpan(row * 31, 31), 0.8), p = Softmax(t.AsSpan(row * 31, 31), 0.8);
            Near(1 - p.Zip(q, Math.Min).Sum(), rows[row].item<float>(), 1e-5);
            // d(½ Σ|p − q|)/dz_j = q_j (g_j − Σ q g) / T with g = −½ sign(p − q).
            double[] g = [.. p.Zip(q, (a, b) => -0.5 * Math.Sign(a - b))];
            double mean = q.Zip(g, (a, b) => a * b).Sum();
            for (int j = 0; j < 31; j++) Assert.True(Math.Abs(q[j] * (g[j] - mean) / 0.8 - gradient[row * 31 + j]) < 1e-6);
        }
    }

    [Theory]
    [InlineData(nameof(Divergence.ForwardKl))]
    [InlineData(nameof(Divergence.ReverseKl))]
    [InlineData(nameof(Divergence.TotalVariation))]
    [InlineData(nameof(Divergence.JensenShannon))]
    public void The_bucket_is_one_outcome_and_never_adds_to_the_whole_divergence(string divergence)
    {
        Divergence kind = Enum.Parse<Divergence>(divergence);
        Random random = new(5);
        using var scope = NewDisposeScope();
        float[] s = [.. Enumerable.Range(0, 4 * 40).Select(_ => (float)(3 * random.NextDouble()))], t = [.. s.Select(_ => (float)(5 * random.NextDouble()))];
        Tensor student = tensor(s, [4, 40]), teacher = tensor(t, [4, 40]);
        double[] whole = Doubles(Divergences.Full(kind, student, teacher)), before = [0, 0, 0, 0];
        foreach (int k in (ReadOnlySpan<int>)[1, 4, 16, 39, 40])
        {
            double[] value = Doubles(Divergences.TopK(kind, student, Best(teacher, k, 1)));
            for (int row = 0; row < 4; row++)
            {
                double[] p = Softmax(t.AsSpan(row * 40, 40), 1), q = Softmax(s.AsSpan(row * 40, 40), 1);
                int[] best = [.. Enumerable.Range(0, 40).OrderByDescending(i => p[i]).Take(k)];
                IEnumerable<double> merged = Merge(p, best).Zip(Merge(q, best), (a, b) => Term(kind, a, b));
                Near(merged.Sum(), value[row], 1e-4);
                Assert.InRange(value[row], before[row] - 1e-5, whole[row] + 1e-5);
            }
            before = value;
        }
        for (int row = 0; row < 4; row++) Near(whole[row], before[row], 1e-5);
    }

    [Theory]
    [InlineData(nameof(Divergence.ForwardKl))]
    [InlineData(nameof(Divergence.ReverseKl))]
    [InlineData(nameof(Divergence.TotalVariation))]
    [InlineData(nameof(Divergence.JensenShannon))]
    public void Tokens_that_the_students_head_has_no_row_for_are_part_of_the_bucket(string divergence)
    {
        Divergence kind = Enum.Parse<Divergence>(divergence);
        Random random = new(6);
        using var scope = NewDisposeScope();
        int[] head = [.. Enumerable.Range(0, 40).Where(token => token % 3 != 1)];
        float[] s = [.. Enumerable.Range(0, 4 * head.Length).Select(_ => (float)(3 * random.NextDouble()))], t = [.. Enumerable.Range(0, 4 * 40).Select(_ => (float)(5 * random.NextDouble()))];
        Tensor student = tensor(s, [4, head.Length]).requires_grad_();
        TeacherTargets best = Best(tensor(t, [4, 40]), 16, 1);
        TeacherTargets said = best.For(tensor(best.Tokens.data<long>().Select(token => (long)Array.IndexOf(head, (int)token)).ToArray(), [4, 16]));
        Tensor value = Divergences.TopK(kind, student, said);
        value.sum().backward();
        Assert.All(student.grad!.data<float>().ToArray(), gradient => Assert.True(float.IsFinite(gradient)));
        for (int row = 0; row < 4; row++)
        {
            double[] p = Softmax(t.AsSpan(row * 40, 40), 1), own = Softmax(s.AsSpan(row * head.Length, head.Length), 1), q = new double[40];
            for (int i = 0; i < head.Length; i++) q[head[i]] = own[i];
            int[] kept = [.. Enumerable.Range(0, 40).OrderByDescending(i => p[i]).Take(16).Where(token => token % 3 != 1)];
            Assert.InRange(kept.Length, 1, 15);
            Near(Merge(p, kept).Zip(Merge(q, kept), (a, b) => Term(kind, a, b)).Sum(), value[row].item<float>(), 1e-4);
        }
    }

    [Fact]
    public void Ignored_targets_count_for_no_part()
    {
        using var scope = NewDisposeScope();
        Tensor student = randn(6, 12), teacher = randn(6, 12);
        Tensor targets = tensor([3L, -100, 5, -100, 0, 11]);
        long[] counted = [0, 2, 4, 5];
        foreach (string text in (ReadOnlySpan<string>)["tv", "forward-kl", "reverse-kl", "next-token", "tv=0.7,next-token=0.3"])
        {
            DistillationLoss loss = DistillationLoss.Parse(text, 1);
            Tensor index = tensor(counted);
            float all = loss.Mean(student, Best(teacher, 5, 1), targets).item<float>();
            float few = loss.Mean(student.index_select(0, index), Best(teacher.index_select(0, index), 5, 1), targets.index_select(0, index)).item<float>();
            Near(few, all, 1e-5);
        }
    }

    [Theory]
    [InlineData("kl", 1, "'kl' is not known")]
    [InlineData("tv,tv", 1, "given twice")]
    [InlineData("tv=0", 1, "over 0")]
    [InlineData("tv", 0, "temperature is 0")]
    public void What_is_no_loss_is_refused(string text, double temperature, string message)
        => Assert.Contains(message, Assert.Throws<SlipstreamException>(() => DistillationLoss.Parse(text, temperature)).Message, StringComparison.Ordinal);

    private static IEnumerable<double> Merge(double[] p, int[] best) => [.. best.Select(i => p[i]), Math.Max(Divergences.Floor, 1 - best.Sum(i => p[i]))];

    private static double Term(Divergence kind, double p, double q) => kind switch
    {
        Divergence.ForwardKl => p * Math.Log(p / q),
        Divergence.ReverseKl => q * Math.Log(q / p),
        Divergence.TotalVariation => Math.Abs(p - q) / 2,
        _ => (p * Math.Log(2 * p / (p + q)) + q * Math.Log(2 * q / (p + q))) / 2,
    };

    private static TeacherTargets Best(Tensor logits, int k, double temperature)
    {
        Tensor logP = TorchSharp.torch.nn.functional.log_softmax(logits / temperature, -1);
        (Tensor values, Tensor indices) = logP.topk(k, -1);
        Tensor rest = k == logits.shape[^1] ? zeros(logits.shape[0]) : (1 - values.exp().sum(-1)).clamp_min(0);
        return new TeacherTargets(indices, values, rest);
    }

    private static double[] Softmax(ReadOnlySpan<float> logits, double temperature)
    {
        double[] e = [.. logits.ToArray().Select(x => Math.Exp(x / temperature))];
        double total = e.Sum();
        return [.. e.Select(x => x / total)];
    }

    private static double[] Doubles(Tensor values) => [.. values.data<float>().ToArray().Select(x => (double)x)];

    private static void Near(double expected, double actual, double relative) => Assert.True(Math.Abs(expected - actual) <= relative * Math.Max(1e-3, Math.Abs(expected)), $"{actual} is not {expected}.");

    private static void Same(ReadOnlySpan<float> expected, Tensor actual)
    {
        float[] values = actual.contiguous().data<float>().ToArray();
        Assert.Equal(expected.Length, values.Length);
        for (int i = 0; i < values.Length; i++) Assert.True(Math.Abs(expected[i] - values[i]) <= 1e-6, $"The gradient {values[i]} at {i} is not {expected[i]}.");
    }

    /// <summary>The goldens of distillation.</summary>
    private sealed class Golden
    {
        private readonly GoldenTensors _tensors = new(Assets.Path("goldens", "compression", "distillation.safetensors"));
        private readonly JsonElement _values = JsonDocument.Parse(File.ReadAllText(Assets.Path("goldens", "compression", "distillation.json"))).RootElement.GetProperty("values");

        public double Value(string name) => _values.GetProperty(name).GetDouble();

        public ReadOnlySpan<float> Floats(string name) => _tensors.Floats(name);

        public Tensor Tensor(string name) => tensor(_tensors.Floats(name).ToArray(), [.. _tensors.Shape(name).Select(d => (long)d)]);

        public Tensor Labels(string name) => tensor(MemoryMarshal.Cast<byte, long>(_tensors.Bytes(name)).ToArray(), [.. _tensors.Shape(name).Select(d => (long)d)]);

        public Tensor Mask() => Labels("attention_mask").to(ScalarType.Float32);
    }
}

using Slipstream.Distillation.Training;
using Slipstream.Models;

namespace Slipstream.Distillation.Drafts;

/// <summary>What a distillation needs of a target beside its distributions.</summary>
/// <param name="Config">Its shape.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Fingerprint">The fingerprint of its weights.</param>
/// <param name="Vocabulary">The fingerprint of its vocabulary.</param>
internal sealed record TargetFacts(ModelConfig Config, Tokenizer Tokenizer, string Fingerprint, string Vocabulary)
{
    private static readonly string[] TokenizerFiles = [TokenizerLoader.FileName, "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"];

    /// <summary>Reads them.</summary>
    /// <exception cref="SlipstreamException">The target cannot be used or has no tokenizer.</exception>
    public static TargetFacts Read(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        Tokenizer tokenizer = CheckpointText.Tokenizer(checkpoint);
        return new TargetFacts(ModelFamilies.For(checkpoint).ReadConfig(checkpoint), tokenizer, TeacherCacheKey.FingerprintOf(checkpoint, "auto"), TeacherCacheKey.FingerprintOf(tokenizer));
    }

    /// <summary>Puts the target's tokenizer beside a draft. That of a GGUF file is left where it is: a draft needs none to run beside its target.</summary>
    public static void CopyTokenizer(string target, string folder)
    {
        if (!Directory.Exists(target)) return;
        foreach (string name in TokenizerFiles)
            if (File.Exists(Path.Combine(target, name))) DurableFile.WriteAllBytes(Path.Combine(folder, name), File.ReadAllBytes(Path.Combine(target, name)));
    }
}

using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Slipstream.Models;

namespace Slipstream.Distillation.Training;

/// <summary>Everything that a run needs to go on as if it had never stopped.</summary>
internal sealed class TrainingState
{
    private const string Format = "slipstream-training-1";

    /// <summary>Steps done.</summary>
    public required int Step { get; init; }

    /// <summary>The weights after them.</summary>
    public required float[] Weights { get; init; }

    /// <summary>The optimiser's first moments.</summary>
    public required float[] First { get; init; }

    /// <summary>The optimiser's second moments.</summary>
    public required float[] Second { get; init; }

    /// <summary>The weights of the best evaluation; empty before the first one.</summary>
    public required float[] Best { get; init; }

    /// <summary>The step of <see cref="Best"/>.</summary>
    public required int BestStep { get; init; }

    /// <summary>The loss of each step.</summary>
    public required float[] Losses { get; init; }

    /// <summary>The held-out losses.</summary>
    public required IReadOnlyList<EvaluationPoint> Evaluations { get; init; }

    /// <summary>What must be the same for the run to go on: options, shape, text.</summary>
    public required IReadOnlyDictionary<string, string> Fingerprint { get; init; }

    /// <summary>Whether the run is over.</summary>
    public bool Finished { get; init; }

    /// <summary>Writes the state: to a temporary file, through to the disk, then renamed, so that the last good one stays until the new one is whole.</summary>
    /// <param name="path">The file.</param>
    /// <param name="create">Makes the file; null for a real one.</param>
    /// <exception cref="SlipstreamException">It cannot be written, for instance because the disk is full; the one before is as it was.</exception>
    public void Save(string path, Func<string, long, Stream>? create = null)
    {
        string header = Header();
        List<TensorToWrite> tensors = [];
        foreach ((string name, float[] values) in Parts()) tensors.Add(TensorToWrite.FromValues(name, [values.Length], values));
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string> { ["format"] = Format, ["state"] = header, ["checksum"] = Checksum(header) }, create ?? DurableFile.Create);
    }

    /// <summary>Reads a state and checks every byte of it.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="SlipstreamException">It is damaged or something else.</exception>
    public static TrainingState Load(string path)
    {
        try
        {
            using SafetensorsFile file = new(path);
            if (!file.Metadata.TryGetValue("format", out string? format) || format != Format || !file.Metadata.TryGetValue("state", out string? header) || !file.Metadata.TryGetValue("checksum", out string? checksum))
                throw Damaged(path, "it is no training checkpoint of this version");
            TrainingState state = Read(header, name => Values(file, name));
            if (state.Checksum(header) != checksum) throw Damaged(path, "its checksum is not that of its content");
            return state;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw Damaged(path, "its header cannot be read", e);
        }
        catch (SlipstreamException e) when (!e.Message.StartsWith("The training checkpoint", StringComparison.Ordinal))
        {
            throw Damaged(path, e.Message.TrimEnd('.'), e);
        }
    }

    private IEnumerable<(string Name, float[] Values)> Parts() =>
        [("weights", Weights), ("first", First), ("second", Second), ("best", Best), ("losses", Losses)];

    private string Checksum(string header)
    {
        XxHash128 hash = new();
        hash.Append(Encoding.UTF8.GetBytes(header));
        foreach ((_, float[] values) in Parts()) hash.Append(MemoryMarshal.AsBytes(values.AsSpan()));
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    private string Header()
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("step", Step);
            json.WriteNumber("best_step", BestStep);
            json.WriteBoolean("finished", Finished);
            json.WriteStartArray("evaluations");
            foreach (EvaluationPoint point in Evaluations)
            {
                json.WriteStartArray();
                json.WriteNumberValue(point.Step);
                // As text: the round trip is exact, and a loss that is no number can be kept too.
                json.WriteStringValue(point.Loss.ToString("R", CultureInfo.InvariantCulture));
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteStartObject("fingerprint");
            foreach ((string key, string value) in Fingerprint) json.WriteString(key, value);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static TrainingState Read(string header, Func<string, float[]> values)
    {
        using JsonDocument document = JsonDocument.Parse(header);
        JsonElement root = document.RootElement;
        return new TrainingState
        {
            Step = root.GetProperty("step").GetInt32(),
            BestStep = root.GetProperty("best_step").GetInt32(),
            Finished = root.GetProperty("finished").GetBoolean(),
            Evaluations = [.. root.GetProperty("evaluations").EnumerateArray().Select(e => new EvaluationPoint(e[0].GetInt32(), double.Parse(e[1].GetString()!, CultureInfo.InvariantCulture)))],
            Fingerprint = root.GetProperty("fingerprint").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.Ordinal),
            Weights = values("weights"),
            First = values("first"),
            Second = values("second"),
            Best = values("best"),
            Losses = values("losses"),
        };
    }

    private static float[] Values(SafetensorsFile file, string name) => MemoryMarshal.Cast<byte, float>(file.Data(name).Span(0, (int)file.Tensors[name].Bytes)).ToArray();

    private static SlipstreamException Damaged(string path, string problem, Exception? inner = null) =>
        new($"The training checkpoint '{path}' is damaged: {problem}; delete it to begin the run anew, or put back a copy of it.", inner);
}

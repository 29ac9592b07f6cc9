using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Slipstream.Cli.Output;

/// <summary>Makes the JSON that commands print: one line, non-ASCII letters as they are.</summary>
internal static class Json
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>An object whose members <paramref name="write"/> writes.</summary>
    public static string Object(Action<Utf8JsonWriter> write)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter writer = new(buffer, Options))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>A member that is a time in milliseconds.</summary>
    public static void Milliseconds(this Utf8JsonWriter writer, string name, TimeSpan time) => writer.WriteNumber(name, Math.Round(time.TotalMilliseconds, 3));

    /// <summary>A member that is a ratio; where there is nothing to divide by it is 0.</summary>
    public static void Ratio(this Utf8JsonWriter writer, string name, double numerator, double denominator)
        => writer.WriteNumber(name, denominator > 0 ? Math.Round(numerator / denominator, 6) : 0);

    /// <summary>A member that is a list of numbers.</summary>
    public static void Numbers(this Utf8JsonWriter writer, string name, IReadOnlyList<int> values)
    {
        writer.WritePropertyName(name);
        Slipstream.Cli.Options.TokensValue.WriteList(writer, values);
    }
}

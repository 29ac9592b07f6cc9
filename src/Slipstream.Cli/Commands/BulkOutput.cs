using System.Text;
using System.Text.Json;

namespace Slipstream.Cli.Commands;

/// <summary>The growing file of results. Locked while a run writes it.</summary>
internal sealed class BulkOutput : IDisposable
{
    /// <summary>The member of a result that tells which request it answers.</summary>
    public const string FingerprintName = "request";

    private readonly FileStream _stream;
    private readonly string _path;

    private BulkOutput(string path, FileStream stream) => (_path, _stream) = (path, stream);

    /// <summary>Opens or creates the file.</summary>
    /// <exception cref="IOException">It cannot be written, or another run writes it.</exception>
    public static BulkOutput Open(string path)
    {
        FileStream stream = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
        try
        {
            // There the sharing mode keeps no second writer out, and a lock that did would keep readers out too.
            if (OperatingSystem.IsLinux()) stream.Lock(0, 0);
            return new BulkOutput(path, stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Checks the results that are there, drops half a line at the end, and gives how many stand.</summary>
    /// <param name="fingerprints">Those of all requests, in order.</param>
    /// <exception cref="SlipstreamException">A line answers another request.</exception>
    public int Resume(IReadOnlyList<string> fingerprints)
    {
        int count = 0;
        long end = 0;
        foreach ((byte[] line, long next) in CompleteLines())
        {
            string? found = FingerprintOf(line);
            if (count >= fingerprints.Count)
                throw new SlipstreamException($"'{_path}' has more results than there are requests ({fingerprints.Count}); delete it, or name another --output.");
            if (found != fingerprints[count])
                throw new SlipstreamException($"'{_path}' line {count + 1} is no result of request {count + 1} with this model and these options; delete the file, or name another --output.");
            count++;
            end = next;
        }
        // Half a line is what a killed run may leave; half of something else must not be thrown away.
        if (count == 0 && _stream.Length > 0 && !StartsLikeResult())
            throw new SlipstreamException($"'{_path}' is no file of results; delete it, or name another --output.");
        _stream.SetLength(end);
        _stream.Position = end;
        return count;
    }

    /// <summary>Appends a result and hands it to the system, where a killed process cannot lose it.</summary>
    public void Append(string line) => _stream.Write(Encoding.UTF8.GetBytes(line + "\n"));

    public void Dispose() => _stream.Dispose();

    private IEnumerable<(byte[] Line, long Next)> CompleteLines()
    {
        _stream.Position = 0;
        byte[] chunk = new byte[1 << 16];
        List<byte> line = [];
        long position = 0;
        for (int read; (read = _stream.Read(chunk)) > 0;)
        {
            int from = 0;
            for (int at; (at = Array.IndexOf(chunk, (byte)'\n', from, read - from)) >= 0; from = at + 1)
            {
                line.AddRange(chunk.AsSpan(from, at - from));
                yield return (line.ToArray(), position + at + 1);
                line.Clear();
            }
            line.AddRange(chunk.AsSpan(from, read - from));
            position += read;
        }
    }

    private bool StartsLikeResult()
    {
        ReadOnlySpan<byte> expected = "{\"prompt_tokens\":"u8;
        byte[] start = new byte[Math.Min(expected.Length, _stream.Length)];
        _stream.Position = 0;
        _stream.ReadExactly(start);
        return expected.StartsWith(start);
    }

    private static string? FingerprintOf(byte[] line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty(FingerprintName, out JsonElement found) && found.ValueKind == JsonValueKind.String
                ? found.GetString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

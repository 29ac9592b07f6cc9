using System.Text;
using Slipstream.Cli.Input;
using Slipstream.Tracing;

namespace Slipstream.Cli.Output;

/// <summary>Writes one JSON object a step of the loop, to a temporary file that takes its name when the run is over: a trace under its name is a whole one.</summary>
internal sealed class TraceFile : IStepObserver, IDisposable
{
    private readonly string _path, _temporary;
    private readonly StreamWriter _writer;
    private readonly Lock _lock = new();
    private Exception? _failure;
    private bool _closed;

    /// <summary>Creates the temporary file.</summary>
    /// <exception cref="SlipstreamException">It cannot be written.</exception>
    public TraceFile(string path)
    {
        _path = path;
        _temporary = path + ".tmp";
        try
        {
            _writer = new StreamWriter(new FileStream(_temporary, FileMode.Create, FileAccess.Write), new UTF8Encoding(false), 1 << 16) { NewLine = "\n" };
        }
        catch (Exception e) when (FileFailure.Is(e))
        {
            throw FileFailure.Writing(path, e);
        }
    }

    public void OnStep(in StepTrace trace)
    {
        StepTrace step = trace;
        string line = Json.Object(writer =>
        {
            writer.WriteNumber("step", step.Step);
            writer.WriteNumber("sequences", step.Sequences);
            writer.WriteNumber("rows", step.Rows);
            writer.WriteNumber("drafted", step.Drafted);
            writer.WriteNumber("accepted", step.Accepted);
            writer.WriteNumber("tokens", step.Tokens);
            writer.WriteNumber("preemptions", step.Preemptions);
            writer.Milliseconds("draft_ms", step.Draft);
            writer.Milliseconds("forward_ms", step.Forward);
            writer.Milliseconds("rest_ms", step.Rest);
            writer.Milliseconds("total_ms", step.Total);
            writer.WriteNumber("weight_bytes", step.WeightBytes);
            writer.WriteNumber("kv_bytes", step.KvBytes);
        });
        lock (_lock)
        {
            if (_closed || _failure is not null) return;
            try
            {
                _writer.WriteLine(line);
            }
            catch (IOException e)
            {
                // An observer may not throw; the failure is told when the run is over.
                _failure = e;
            }
        }
    }

    /// <summary>Ends the trace and gives it its name.</summary>
    /// <exception cref="SlipstreamException">It could not be written.</exception>
    public void Complete()
    {
        lock (_lock)
        {
            _closed = true;
            try
            {
                if (_failure is not null) throw _failure;
                _writer.Dispose();
                File.Move(_temporary, _path, overwrite: true);
            }
            catch (Exception e) when (FileFailure.Is(e))
            {
                throw FileFailure.Writing(_path, e);
            }
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            try
            {
                _writer.Dispose();
                File.Delete(_temporary);
            }
            catch (Exception e) when (FileFailure.Is(e))
            {
                // The run has failed for a reason of its own, which is the one to be told.
            }
        }
    }
}

using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Slipstream.Bench;

/// <summary>
/// A thread for the calls of one engine. Engines keep state with the thread that calls them: llama.cpp gives the tiles of the matrix unit (AMX) their shape once a thread, and after another engine's kernels had released them there, its next
/// product ended the process by an illegal instruction.
/// </summary>
internal sealed class OwnThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    /// <summary>Starts it.</summary>
    /// <param name="name">Its name.</param>
    public OwnThread(string name)
    {
        _thread = new Thread(() =>
        {
            foreach (Action action in _work.GetConsumingEnumerable()) action();
        }) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Runs something there and waits for it; what it throws is thrown here.</summary>
    public void Run(Action action)
    {
        using ManualResetEventSlim done = new(initialState: false, spinCount: 0); // Waiting must not take a processor from the engine.
        ExceptionDispatchInfo? failure = null;
        _work.Add(() =>
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
            finally
            {
                done.Set();
            }
        });
        done.Wait();
        failure?.Throw();
    }

    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }
}

using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Platform.Hosting.Http;
using Platform.Messaging;

namespace Platform.SelfHost.Http;

/// <summary>Kestrel with the API on it, and nothing else: no configuration files, no logging providers, no signal handling of its own.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    /// <summary>Each costs some kilobytes of memory and a file descriptor.</summary>
    private const int MaxConnections = 1_000;

    /// <summary>A path, some filters, a cursor.</summary>
    private const int MaxRequestLineBytes = 8 * 1024;

    private const int MaxHeaderBytes = 16 * 1024;
    private const int MaxHeaders = 64;

    private static readonly TimeSpan HeadersPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan KeepAlive = TimeSpan.FromMinutes(2);

    private readonly WebApplication app;

    private ApiServer(WebApplication app, string url) => (this.app, Url) = (app, url);

    /// <summary>Where it listens, the port as the system gave it.</summary>
    public string Url { get; }

    /// <exception cref="ProblemException">The address is taken, or is none of this machine's.</exception>
    public static async Task<ApiServer> Start(ListenAddress listen, HttpApi api, CancellationToken cancellation)
    {
        if (listen.Socket is { } socket) { await RemoveStale(socket, cancellation); }
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime>(new NoLifetime());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxConcurrentConnections = MaxConnections;
            kestrel.Limits.MaxRequestBodySize = RequestBody.MaxBytes;
            kestrel.Limits.MaxRequestLineSize = MaxRequestLineBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
            kestrel.Limits.MaxRequestHeaderCount = MaxHeaders;
            kestrel.Limits.RequestHeadersTimeout = HeadersPatience;
            kestrel.Limits.KeepAliveTimeout = KeepAlive;
            if (listen.Socket is { } path) { kestrel.ListenUnixSocket(path, Http1); }
            else { kestrel.Listen(listen.Endpoint!, Http1); }
        });
        var app = builder.Build();
        api.Map(app);
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (IOException e)
        {
            await app.DisposeAsync();
            throw new ProblemException(e.InnerException is AddressInUseException
                ? new Problem("serve.address-taken", $"Another process listens on {listen}. Choose another with --listen, or end that one.")
                : new Problem("serve.listen", $"Cannot listen on {listen}: {e.Message}"));
        }
        catch (SocketException e)
        {
            await app.DisposeAsync();
            throw new ProblemException(new Problem("serve.listen", $"Cannot listen on {listen}: {e.Message}"));
        }

        if (listen.Socket is { } made) { File.SetUnixFileMode(made, UnixFileMode.UserRead | UnixFileMode.UserWrite); }
        return new ApiServer(app, listen.Socket is null ? app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single() : listen.ToString());

        // Without TLS a browser speaks HTTP/1.1 only, and clients that could do more gain nothing here.
        static void Http1(ListenOptions options) => options.Protocols = HttpProtocols.Http1;
    }

    /// <summary>Takes no more connections, and lets requests that have begun end for so long.</summary>
    public async Task Stop(TimeSpan patience)
    {
        using var enough = new CancellationTokenSource(patience);
        await app.StopAsync(enough.Token);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    /// <summary>A process that was killed leaves its socket's file behind; one that somebody listens on stays.</summary>
    private static async Task RemoveStale(string path, CancellationToken cancellation)
    {
        if (!File.Exists(path)) { return; }
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused && new FileInfo(path).Length == 0)
        {
            File.Delete(path);
        }
        catch (SocketException) { /* The bind says what is wrong. */ }
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}

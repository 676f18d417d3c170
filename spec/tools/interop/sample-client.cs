// A socket client after the well-known sample, with SocketAsyncEventArgs: [4 bytes: data size][data].
// client PORT SIZE...: sends messages of these sizes, and fails unless each is answered with its size in digits, and with itself.
using System;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;

class AsynchronousClient
{
    static readonly AutoResetEvent done = new AutoResetEvent(false);
    static Socket socket;
    static SocketAsyncEventArgs receiving;

    static int Main(string[] args)
    {
        socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        receiving = new SocketAsyncEventArgs();
        receiving.Completed += (sender, e) => done.Set();
        var connecting = new SocketAsyncEventArgs();
        connecting.RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, int.Parse(args[1]));
        connecting.Completed += (sender, e) => done.Set();
        if (socket.ConnectAsync(connecting)) done.WaitOne();

        var messages = args.Skip(2).Select(size => Message(int.Parse(size))).ToArray();
        foreach (var message in messages) Send(message);
        foreach (var message in messages)
        {
            Expect(Encoding.ASCII.GetBytes(message.Length.ToString()));
            Expect(message);
        }
        socket.Close();
        return 0;
    }

    // 0, 1, 2 and so on to 250, then 0 again.
    static byte[] Message(int size)
    {
        return Enumerable.Range(0, size).Select(i => (byte)(i % 251)).ToArray();
    }

    static void Send(byte[] data)
    {
        byte[] prefix = BitConverter.GetBytes(data.Length);
        var frame = prefix.Concat(data).ToArray();
        var sending = new SocketAsyncEventArgs();
        sending.SetBuffer(frame, 0, frame.Length);
        socket.SendAsync(sending);
    }

    static void Expect(byte[] expected)
    {
        int size = BitConverter.ToInt32(Receive(4), 0);
        if (size != expected.Length) throw new Exception("A message of " + size + ", not " + expected.Length);
        if (!Receive(size).SequenceEqual(expected)) throw new Exception("Other data of " + size + " bytes");
    }

    static byte[] Receive(int size)
    {
        var data = new byte[size];
        for (int count = 0; count < size; count += receiving.BytesTransferred)
        {
            receiving.SetBuffer(data, count, size - count);
            if (socket.ReceiveAsync(receiving)) done.WaitOne();
            if (receiving.BytesTransferred == 0) throw new Exception("Hung up after " + count + " of " + size);
        }
        return data;
    }
}

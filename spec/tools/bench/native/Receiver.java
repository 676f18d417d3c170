import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import java.net.InetSocketAddress;
import java.nio.ByteOrder;

/**
 * Takes frames with Netty's LengthFieldBasedFrameDecoder and counts them. An empty one is answered with how many came since
 * the last, and how many bytes they had: two 64-bit numbers, little-endian.
 */
public class Receiver extends SimpleChannelInboundHandler<ByteBuf> {
  private long messages;
  private long bytes;

  @Override
  protected void channelRead0(ChannelHandlerContext context, ByteBuf frame) {
    int length = frame.readableBytes();
    if (length == 0) {
      context.writeAndFlush(context.alloc().buffer(16).writeLongLE(messages).writeLongLE(bytes));
      messages = 0;
      bytes = 0;
    } else {
      messages += 1;
      bytes += length;
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    System.exit(0);
  }

  public static void main(String[] args) throws InterruptedException {
    NioEventLoopGroup group = new NioEventLoopGroup(1);
    Channel server = new ServerBootstrap()
        .group(group)
        .channel(NioServerSocketChannel.class)
        .childOption(ChannelOption.TCP_NODELAY, true)
        // What a socket of Node's reads at a time, too.
        .childOption(ChannelOption.RCVBUF_ALLOCATOR, new FixedRecvByteBufAllocator(64 * 1024))
        .childHandler(new ChannelInitializer<SocketChannel>() {
          @Override
          protected void initChannel(SocketChannel channel) {
            int most = 64 * 1024 * 1024;
            channel.pipeline().addLast(
                new LengthFieldBasedFrameDecoder(ByteOrder.LITTLE_ENDIAN, most, 0, 4, 0, 4, true), new Receiver());
          }
        })
        .bind("127.0.0.1", 0).sync().channel();
    System.out.println("Listening on " + ((InetSocketAddress) server.localAddress()).getPort());
  }
}
